"""Archives: what is read, what stands in the rows, and what is refused."""

import hashlib
import json
import resource
import shutil
import subprocess
import sys
from datetime import UTC
from pathlib import Path

import cv2
import numpy as np
import pytest
from bulk.conftest import names, rows
from PIL import Image

from lettercast import LettercastError, __version__
from lettercast.bulk import read_archive
from lettercast.bulk.documents import open_document
from lettercast.bulk.files import find_files
from lettercast.runtime import Reader
from lettercast.runtime.arguments import device_model

GOOD = ["page10.png", "page2.jpg", "ä ö.png", "no\\udcfftext.png"]
PAGES_OF_DOCUMENTS = [
    *(("forms.tif", number) for number in (1, 2, 3)),
    *((name, number) for name in ("forms.pdf", "scan.png") for number in (1, 2)),
]
BROKEN = {
    "empty.png": "the file is empty; take or copy the image again",
    "text.jpg": "not an image that lettercast can read",
    "cut.png": "the image breaks off or is damaged; copy it again",
    "cut.pdf": "damaged, or not a PDF; copy it again",
    "cut.tif": "damaged, because the list of pages breaks off; copy it again",
    "gone.png": "No such file or directory",
}


def test_every_page_has_one_row_and_every_broken_file_its_reason(archive):
    assert names(archive.path) == sorted([*((name, 1) for name in (*GOOD, *BROKEN)), *PAGES_OF_DOCUMENTS])
    errors = {Path(row["path"]).name: row["error"] for row in rows(archive.path) if row["error"]}
    assert errors.keys() == BROKEN.keys()
    assert all(said in errors[name] for name, said in BROKEN.items()), errors
    assert (archive.pages, archive.errors, archive.read_now) == (17, 6, 17)
    assert archive.letters == len(rows(archive.path, "letters")) > 30


def test_rows_say_what_the_reader_says(archive, scans):
    reader = Reader("letters-nano")
    letters = rows(archive.path, "letters")
    read = [row for row in rows(archive.path) if not row["error"]]
    for row in read:
        if "\\udc" in row["path"]:
            continue
        image, dpi = open_document(Path(row["path"])).page(row["page"])
        page = reader.read(image)
        assert (row["text"], row["width"], row["height"], row["left_out"]) == (page.text, *page.size, page.left_out)
        assert (row["dpi"], row["letters"]) == (dpi and pytest.approx(dpi), len(page.letters))
        own = [one for one in letters if (one["path"], one["page"]) == (row["path"], row["page"])]
        found = [(x["letter"], x["confidence"], (x["x"], x["y"], x["width"], x["height"])) for x in own if not x["outside"]]
        assert found == [(one.letter, np.float32(one.confidence), one.box) for one in page.letters]
        others = [[(one["letter"], one["confidence"]) for one in x["alternatives"]] for x in own if not x["outside"]]
        assert others == [[(name, np.float32(share)) for name, share in one.alternatives] for one in page.letters]
    assert [row["text"] for row in read if row["path"].endswith("forms.tif")] == ["ABC", "DEF", "GHI"]
    assert [row["text"] for row in read if row["path"].endswith(".pdf")] == ["GHI", "KLM"]


def test_rows_say_where_they_come_from(archive, scans):
    row = next(row for row in rows(archive.path) if row["path"].endswith("page10.png"))
    status = (scans / "page10.png").stat()
    engine = Reader("letters-nano").engine
    assert (row["model"], row["engine"], row["version"], row["bytes"]) == (
        "letters-nano",
        engine.name,
        __version__,
        status.st_size,
    )
    # In UTC, and to the microsecond.
    assert row["modified"].replace(tzinfo=UTC).timestamp() == pytest.approx(status.st_mtime, abs=1e-5)
    assert row["model_sha256"] == hashlib.sha256(device_model("letters-nano").read_bytes()).hexdigest()


def test_what_is_read_is_not_read_again_and_new_files_are(archive, scans, tmp_path):
    out, more = tmp_path / "out.parquet", tmp_path / "more"
    shutil.copytree(archive.path, out)
    # A run that was killed leaves pages of a file, half a line, and letters without their pages.
    whole = rows(out)
    more.mkdir()
    shutil.copy(scans / "page2.jpg", more / "new.jpg")
    (out / "letters" / "part-000002.parquet").write_bytes(b"half a part")
    known = {"path": str(more / "new.jpg"), "page": 1, "pages": 1, "error": "in the journal", "engine": "e", "version": "0"}
    (out / ".journal").write_bytes(json.dumps(known).encode() + b'\n{"path": "half a li')
    shutil.copy(scans / "page2.jpg", more / "new2.jpg")
    again = read_archive([str(scans), more], out, model="letters-nano", processes=1)
    assert again.read_now == 1
    after = rows(out)
    assert [row for row in after if not row["path"].startswith(str(more))] == whole
    assert [row["error"] for row in after if row["path"].startswith(str(more))] == ["in the journal", None]
    assert len(rows(out, "letters")) == again.letters == archive.letters + 3


def test_errors_are_tried_again_if_asked(scans, tmp_path):
    sources = [tmp_path / name for name in ("a.png", "b.tif", "c.png")]
    shutil.copy(scans / "page10.png", sources[0])
    sources[1].write_bytes(b"broken")
    (tmp_path / "list.txt").write_text("\n".join(map(str, sources)))
    first = read_archive(tmp_path / "list.txt", tmp_path / "out", model="letters-nano", processes=1)
    assert (first.pages, first.errors) == (3, 2)
    whole = rows(tmp_path / "out")[0]
    shutil.copy(scans / "forms.tif", sources[1])
    assert read_archive(sources[:2], tmp_path / "out", model="letters-nano", processes=1).read_now == 0
    again = read_archive(tmp_path / "list.txt", tmp_path / "out", model="letters-nano", processes=1, retry_errors=True)
    assert (again.pages, again.errors, again.read_now, again.letters) == (5, 1, 4, 12)
    assert rows(tmp_path / "out")[0] == whole
    assert names(tmp_path / "out") == [("a.png", 1), ("b.tif", 1), ("b.tif", 2), ("b.tif", 3), ("c.png", 1)]


def test_errors_of_files_that_are_not_named_stay(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    kept = read_archive([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out", model="letters-nano", processes=1)
    again = read_archive(tmp_path / "b.png", tmp_path / "out", model="letters-nano", processes=1, retry_errors=True)
    assert (kept.errors, again.errors, again.read_now) == (2, 2, 1)
    assert names(tmp_path / "out") == [("a.png", 1), ("b.png", 1)]


def test_a_part_that_its_disk_does_not_give_is_kept(archive, scans, tmp_path, monkeypatch):
    import pyarrow.parquet

    shutil.copytree(archive.path, tmp_path / "out")
    # A copy by hand is no reason to fail.
    for kind in ("pages", "letters"):
        shutil.copy(tmp_path / "out" / kind / "part-000001.parquet", tmp_path / "out" / kind / "part-000001 (copy).parquet")
    assert read_archive(scans, tmp_path / "out", model="letters-nano", processes=1).read_now == 0

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pyarrow.parquet, "read_metadata", fail)
    with pytest.raises(LettercastError, match=r"part-000001.*Input/output error.*start again once the disk can be read"):
        read_archive(scans, tmp_path / "out", model="letters-nano", processes=1)
    assert (tmp_path / "out" / "pages" / "part-000001.parquet").exists()


def test_a_run_that_stops_within_a_file_goes_on_there(scans, tmp_path):
    for pages, total in ((2, 2), (2, 4), (None, 5)):
        done = read_archive([scans / "forms.tif", scans / "forms.pdf"], tmp_path / "out", processes=1, max_pages=pages)
        assert done.pages == total
    assert names(tmp_path / "out") == [("forms.pdf", 1), ("forms.pdf", 2), *(("forms.tif", number) for number in (1, 2, 3))]


def test_an_archive_takes_pages_of_the_same_settings_only(refused, archive, scans, tmp_path):
    shutil.copytree(archive.path, tmp_path / "out")
    for words, said in (
        (("--model", "letters-base"), "was read with --model letters-nano, not letters-base"),
        (("--case", "written"), "--case upper, not written"),
        (("--language", "en"), "--language none, not en ("),
    ):
        model = () if "--model" in words else ("--model", "letters-nano")
        assert said in refused("read", scans, "--out", "out", *model, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gone/",), "no such file"),
        (("nothing*.jpg",), "no images or PDFs there"),
        (("notes.txt",), "the list is empty"),
        (("empty",), "no images or PDFs there"),
        (("film.mp4",), "neither an image nor a PDF"),
        (("my.tflite",), "this is a model"),
        (("rtsp://camera/",), "--out reads files"),
        ((), "reads files, no cameras"),
        (("page.png", "--json"), "--json: is for frames one by one"),
        (("page.png", "--threads", "2"), "give --processes instead"),
        (("page.png", "--words", "gone.txt"), "gone.txt"),
        (("page.png", "--engine", "onnxruntime"), "ONNX Runtime does not run .tflite models"),
        (("page.png", "--out", "notes.txt"), "exists and is not a folder"),
        (("page.png", "--out", "mine"), "no archive that lettercast wrote"),
    ],
)
def test_what_cannot_be_read_is_refused_and_leaves_nothing(refused, page_file, tmp_path, words, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    for name in ("notes.txt", "film.mp4", "my.tflite"):
        (tmp_path / name).touch()
    out = () if "--out" in words else ("--out", "out")
    assert said in refused("read", *words, *out, "--processes", 1)


@pytest.mark.parametrize("words", [("--processes", 1), ("--retry-errors",)])
def test_some_options_are_for_archives(refused, page_file, words):
    assert f"{words[0]}: is for --out; add --out" in refused("read", page_file, *words)


def test_the_command_says_what_it_read_and_what_not(lettercast, scans, tmp_path):
    code, out, err = lettercast("read", scans / "page10.png", scans / "cut.png", "--out", "letters.parquet", "--processes", 1)
    assert code == 0
    assert out == "letters.parquet: 2 pages; 3 letters\nnext: lettercast review letters.parquet\n"
    assert err == f"lettercast: 1 of 2 pages could not be read, such as {scans / 'cut.png'}: {BROKEN['cut.png']}\n"
    code, out, err = lettercast("read", scans / "cut.png", "--out", "broken.parquet", "--processes", 1)
    assert (code, out) == (2, "broken.parquet: 1 page; 0 letters\n")


def test_files_are_found_by_folders_patterns_and_lists_each_once(scans, tmp_path, monkeypatch):
    monkeypatch.chdir(scans)
    (tmp_path / "list.txt").write_text("page2.jpg\r\n\nnot there.png\n")
    found = [Path(path).relative_to(scans).as_posix() for path in find_files([str(tmp_path / "list.txt"), "**/*.png", "page*"])]
    assert found[:2] == ["page2.jpg", "not there.png"]
    assert found[-1] == "deeper/still/ä ö.png" and ".hidden/x.png" not in found
    assert len(found) == len(set(found)) == 9
    whole = [Path(path).name for path in find_files(["."])]
    assert whole.index("page2.jpg") < whole.index("page10.png") < whole.index("ä ö.png")


@pytest.mark.parametrize("order", ["II", "MM"])
def test_pages_of_a_tiff_are_those_of_another_reader_and_no_thumbnails(tmp_path, order):
    rng = np.random.default_rng(3)
    pages = [Image.fromarray(rng.integers(0, 256, (40 + 8 * i, 60), np.uint8)) for i in range(5)]
    pages[2].encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], big_endian=order == "MM")
    document = open_document(tmp_path / "a.tif")
    kept = [page for i, page in enumerate(pages) if i != 2]
    assert document.pages == 4
    for number in (4, 1, 3, 2):
        assert np.array_equal(document.page(number)[0], np.array(kept[number - 1]))


def test_a_tiff_whose_pages_go_in_a_circle_is_refused(tmp_path):
    image = Image.new("L", (8, 8))
    image.save(tmp_path / "a.tif", save_all=True, append_images=[image])
    data = bytearray((tmp_path / "a.tif").read_bytes())
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[end : end + 4] = data[4:8]
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(LettercastError, match="go in a circle"):
        open_document(tmp_path / "a.tif")


def test_a_huge_page_of_a_pdf_is_drawn_with_fewer_dots(tmp_path):
    Image.new("L", (100, 100), 255).save(tmp_path / "a.pdf", resolution=0.6)
    image, dpi = open_document(tmp_path / "a.pdf").page(1)
    assert dpi < 200 and 90e6 < image.shape[0] * image.shape[1] <= 100e6


def limit_files(size_bytes: int) -> None:
    """Let no file grow beyond this size, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def test_a_full_disk_is_said_in_one_line_and_what_was_read_stays(scans, tmp_path):
    words = [
        "read",
        scans / "page2.jpg",
        scans / "page10.png",
        scans / "forms.tif",
        "--out",
        tmp_path / "out",
        "--processes",
        "1",
    ]
    line = [sys.executable, "-m", "lettercast", *map(str, words)]
    full = subprocess.run(line, capture_output=True, text=True, check=False, preexec_fn=lambda: limit_files(1900))
    assert (full.returncode, full.stdout) == (2, "")
    assert len(full.stderr.splitlines()) == 1 and "make room" in full.stderr, full.stderr
    kept = (tmp_path / "out" / ".journal").read_bytes().count(b"\n")
    assert kept in (1, 2, 3)
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert f"5 pages, {5 - kept} of them read now" in done.stdout
    assert len(names(tmp_path / "out")) == 5


def test_two_commands_do_not_write_to_one_archive(archive, scans, tmp_path):
    from lettercast.runtime.files import locked

    shutil.copytree(archive.path, tmp_path / "out")
    with locked(tmp_path / "out", "a test"), pytest.raises(LettercastError, match="another `lettercast read` writes there now"):
        read_archive(scans, tmp_path / "out", model="letters-nano", processes=1)


def test_words_and_a_language_are_in_the_rows(draw_page, tmp_path):
    cv2.imwrite(str(tmp_path / "page.png"), draw_page("ABC")[0])
    (tmp_path / "words.txt").write_text("abc\n")
    read_archive(tmp_path / "page.png", tmp_path / "out", words=tmp_path / "words.txt", language="en", processes=1)
    assert [row["listed_text"] for row in rows(tmp_path / "out")] == ["abc"]
    assert {row["listed"] for row in rows(tmp_path / "out", "letters")} == {"abc"}
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["words"].startswith("a list (") and settings["language"].startswith("en (")
