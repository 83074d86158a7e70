"""The page of doubtful letters: which letters it shows, and how it looks at them."""

import base64
import os
import re
import shutil

import cv2
import numpy as np
import pytest
from bulk.conftest import rows

from lettercast import LettercastError
from lettercast.bulk import find_doubts, review


def test_the_least_sure_letters_come_first(archive):
    letters = [row for row in rows(archive.path, "letters") if row["letter"] != "?"]
    doubts = find_doubts(archive.path, 7, a_page=100)
    assert [one.confidence for one in doubts] == sorted(row["confidence"] for row in letters)[:7]
    first = next(row for row in letters if row["confidence"] == doubts[0].confidence)
    assert (doubts[0].path, doubts[0].letter, doubts[0].box[0]) == (first["path"], first["letter"], first["x"])


def test_one_page_does_not_fill_all_and_one_letter_can_be_asked_for(archive):
    doubts = find_doubts(archive.path, 1000, a_page=2)
    assert max(sum((one.path, one.page) == (two.path, two.page) for two in doubts) for one in doubts) == 2
    assert {one.letter for one in find_doubts(archive.path, letter="E")} == {"E"}


def test_the_page_shows_each_letter_on_its_page(lettercast, archive, tmp_path):
    code, out, err = lettercast("review", archive.path, "--number", 20, "--out", "review.html")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"wrote review.html: 20 letters of \d+ pages, of which the model was \d+% to \d+% sure\n", out)
    page = (tmp_path / "review.html").read_text()
    doubts = find_doubts(archive.path, 20)
    crops = [base64.b64decode(data) for data in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)]
    images = [cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR) for crop in crops]
    # The file whose name is no text is not found by it.
    gone = [one for one in doubts if "udcff" in one.path]
    assert len(images) == len(doubts) - len(gone) > 10
    assert page.count('class="gone"') == len(gone)
    # Dark ink within the orange box, and paper around it.
    for image in images:
        assert image.shape[0] == 120
        middle = image[40:80, image.shape[1] // 3 : -image.shape[1] // 3]
        assert middle.min() < 110 and np.median(image) > 180
    assert re.findall(r'class="letter">([^<]+)<', page) == [one.letter for one in doubts]


def test_a_file_that_is_gone_or_smaller_is_said_on_the_page(archive, scans, tmp_path):
    from lettercast.bulk import read_archive

    for name in ("gone.png", "cut.png"):
        shutil.copy(scans / "page10.png", tmp_path / name)
    read_archive([tmp_path / "gone.png", tmp_path / "cut.png"], tmp_path / "out", model="letters-nano", processes=1)
    (tmp_path / "gone.png").unlink()
    cv2.imwrite(str(tmp_path / "cut.png"), cv2.imread(str(scans / "page10.png"))[:40, :40])
    path, doubts = review(tmp_path / "out")
    page = path.read_text()
    assert (path, len(doubts)) == (tmp_path / "out" / "review.html", 6)
    assert page.count("No such file or directory") == page.count("the file has changed since it was read") == 3


def test_what_is_no_archive_is_refused(refused, archive, tmp_path):
    (tmp_path / "mine").mkdir()
    assert "no archive that `lettercast read --out` wrote" in refused("review", "mine")
    assert "no archive" in refused("review", "gone.parquet")
    assert "no letters that were read as Ä" in refused("review", archive.path, "--letter", "Ä", "--out", "r.html")
    shutil.copytree(archive.path, tmp_path / "out")
    (tmp_path / "out" / "letters" / "part-000001.parquet").write_bytes(b"PAR1")
    assert "part-000001.parquet: damaged" in refused("review", "out")
    # The pages of another program have other columns.
    shutil.copy(tmp_path / "out" / "pages" / "part-000001.parquet", tmp_path / "out" / "letters" / "part-000001.parquet")
    assert "part-000001.parquet: damaged" in refused("review", "out")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_an_image_that_became_a_pipe_is_not_waited_for(archive, scans, tmp_path):
    from lettercast.bulk import read_archive

    shutil.copy(scans / "page10.png", tmp_path / "a.png")
    read_archive(tmp_path / "a.png", tmp_path / "out", model="letters-nano", processes=1)
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "a.png")
    assert "a pipe or a device" in review(tmp_path / "out")[0].read_text()


def test_an_archive_of_another_system_is_shown(archive, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    shutil.copytree(archive.path, tmp_path / "out")
    part = tmp_path / "out" / "letters" / "part-000001.parquet"
    table = pa.parquet.read_table(part)
    paths = pa.array(["C:\\scans\\a b.png"] * len(table))
    pa.parquet.write_table(table.set_column(0, table.schema.field("path"), paths), part)
    page = review(tmp_path / "out")[0].read_text()
    assert 'href="file:///C:/scans/a%20b.png"' in page
    assert "No such file or directory" in page


def test_a_damaged_part_is_read_again(archive, scans, tmp_path, capfd):
    from lettercast.bulk import read_archive

    shutil.copytree(archive.path, tmp_path / "out")
    (tmp_path / "out" / "letters" / "part-000001.parquet").write_bytes(b"PAR1")
    again = read_archive(scans, tmp_path / "out", model="letters-nano", processes=1)
    assert "damaged, so its pages are read again" in capfd.readouterr().err
    assert again.read_now == archive.pages
    assert rows(tmp_path / "out") == rows(archive.path)
    with pytest.raises(LettercastError, match="choose others"):
        review(tmp_path / "out", letter="Ä")
