"""The command `bundle --target web`: its folder, its zip, its packages and its refusals."""

import json
import re
import tarfile
import zipfile
from io import BytesIO

import cv2
import pytest

from lettercast import LettercastError
from lettercast.export.web import packages as npm
from lettercast.export.web.bundle import SHIPPED, shipped_model
from lettercast.export.web.packages import Package, fetch, unpack
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.engine import open_engine


def test_app_is_small_and_keeps_all_its_files_for_later(app):
    files = {path.relative_to(app).as_posix(): path for path in app.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files.values()) < 25_000_000
    kept = json.loads(re.search(r"const FILES = (\[.*\]);", (app / "sw.js").read_text())[1])
    assert {*kept, "sw.js"} == {*files, "./"} - {"LICENSE", "packages/opencv/LICENSE"}
    for name in re.findall(r'(?:src|href)="([^"#]+)"', (app / "index.html").read_text()):
        assert name in files, name
    manifest = json.loads((app / "manifest.webmanifest").read_text())
    assert {icon["src"] for icon in manifest["icons"]} <= set(files)
    assert cv2.imread(str(app / "icon-192.png")).shape == (192, 192, 3)


def test_app_asks_no_other_server(app):
    files = [path for path in app.rglob("*.*") if path.suffix in (".js", ".html", ".css", ".webmanifest")]
    own = {path.name: path.read_text() for path in files if "packages" not in path.parts}
    addresses = {name: re.findall(r"https?://\S+", text) for name, text in own.items()}
    # A hint in a message, which nothing opens.
    assert {name: found for name, found in addresses.items() if found} == {"check.js": ['http://localhost:8000.";']}


def test_zip_holds_the_same_files(app, packages, lettercast, tmp_path):
    code, out, _ = lettercast("bundle", "--target", "web", "--out", "app.zip")
    path = tmp_path / "app.zip"
    unpacked = sum(one.stat().st_size for one in app.rglob("*") if one.is_file())
    assert code == 0 and out.startswith(f"app.zip: {path.stat().st_size:,} bytes, unpacked {unpacked:,} bytes, with ")
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.relative_to(app).as_posix(): path.read_bytes() for path in app.rglob("*") if path.is_file()
        }


@pytest.mark.parametrize("name", ["letters-base", "letters-nano"])
def test_files_for_browsers_are_of_the_shipped_networks(name):
    device = device_model(name)
    web = shipped_model(device)
    assert web.suffix == ".onnx"
    assert open_engine(web).facts.network_sha256 == open_engine(device).facts.network_sha256 != ""
    assert len(SHIPPED) == 2


def test_folder_is_replaced_only_if_it_is_an_app(packages, lettercast, tmp_path):
    code, out, _ = lettercast("bundle", "letters-nano", "--target", "web", "--out", "app")
    assert code == 0
    assert "golden cases" in out
    assert lettercast("bundle", "letters-nano", "--target", "web", "--out", "app")[::2] == (
        2,
        "lettercast: app: exists already; add --overwrite, or choose another --out\n",
    )
    assert lettercast("bundle", "letters-nano", "--target", "web", "--out", "app", "--overwrite")[0] == 0
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"mine")
    code, _, said = lettercast("bundle", "letters-nano", "--target", "web", "--out", "photos", "--overwrite")
    assert (code, (tmp_path / "photos" / "one.jpg").read_bytes()) == (2, b"mine")
    assert "is no app of lettercast" in said


def test_overwrite_keeps_what_is_not_the_apps(packages, lettercast, tmp_path):
    def bundle(out: object) -> tuple[int, str, str]:
        return lettercast("bundle", "letters-nano", "--target", "web", "--out", out, "--overwrite")

    assert bundle("app")[0] == 0
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "app").rglob("*") if path.is_file()}
    app, worker = tmp_path / "app", tmp_path / "app" / "sw.js"
    # An older app has a file more; one that its worker may not name lies outside.
    (app / "old").mkdir()
    for path in (app / "CNAME", app / "old" / "old.js", tmp_path / "mine.js"):
        path.write_text("x")
    worker.write_text(worker.read_text().replace("const FILES = [", 'const FILES = ["old/old.js", "../mine.js", '))
    (app / "app.js").write_text("old")
    (tmp_path / "link").symlink_to("app")
    for out in ("link", "link/."):
        assert bundle(out)[::2] == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"app", "link", "mine.js"}
    assert (app / "CNAME").read_text() == "x"
    (app / "CNAME").unlink()
    assert {path.relative_to(tmp_path): path.read_bytes() for path in app.rglob("*") if path.is_file()} == fresh
    assert not (app / "old").exists()


def test_a_file_or_the_current_folder_is_no_app(packages, lettercast, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for out in ("notes.txt", ".", "gone/.."):
        code, _, said = lettercast("bundle", "letters-nano", "--target", "web", "--out", out, "--overwrite")
        assert (code, said) == (2, f"lettercast: {out}: exists already; is no app of lettercast; choose another --out\n")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_a_browser_cannot_run_is_refused(lettercast):
    code, _, said = lettercast("bundle", "letters-digits", "--target", "web")
    assert code == 2
    assert "takes an .onnx file; make one of its original with lettercast export letters-digits --formats onnx-int8" in said
    code, _, said = lettercast("bundle", "--target", "web", "--language", "en")
    assert code == 2
    assert "--language: an app for a browser has no languages; leave it out with --target web" in said


def test_model_without_golden_cases_is_bundled_and_named(packages, digits_onnx, tmp_path, lettercast):
    (tmp_path / "alone.onnx").write_bytes(digits_onnx.read_bytes())
    code, out, _ = lettercast("bundle", tmp_path / "alone.onnx", "--target", "web", "--out", tmp_path / "app")
    assert code == 0
    assert "without golden cases, so nothing shows that a browser computes what the export did" in out


def packed(files: dict[str, bytes]) -> bytes:
    """Return an npm archive of these files."""
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as target:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            target.addfile(member, BytesIO(content))
    return archive.getvalue()


PACKAGE = Package("@some/thing", "1.2.3", "", {"dist/a.js": "thing/a.js"})


def test_archive_of_npm_is_unpacked_by_name():
    assert unpack(PACKAGE, packed({"dist/a.js": b"let a;", "dist/b.js": b"let b;"})) == {"thing/a.js": b"let a;"}
    with pytest.raises(LettercastError, match=r"has no dist/a.js"):
        unpack(PACKAGE, packed({"dist/b.js": b"let b;"}))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'npm error network' >&2; exit 1", r"@some/thing 1.2.3: npm cannot fetch it \(npm error network\)"),
        ("touch $4/some-thing-1.2.3.tgz", r"not the expected archive \(SHA-512\)"),
    ],
)
def test_what_npm_does_not_fetch_is_named_and_not_kept(tmp_path, monkeypatch, script, said):
    tool = tmp_path / "npm"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(npm.shutil, "which", lambda name: str(tool))
    with pytest.raises(LettercastError, match=said):
        fetch(PACKAGE, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_npm_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    with pytest.raises(LettercastError, match=r"install Node\.js"):
        fetch(PACKAGE, tmp_path / "cache")
