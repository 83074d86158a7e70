"""What the tests of archives share: scans of every kind, and the archive that was read from them."""

import os
import shutil
from pathlib import Path

import cv2
import pytest
from PIL import Image

from lettercast.bulk import Archive, read_archive

pytest.importorskip("pyarrow", reason="not installed: pip install 'lettercast[bulk]'")

WORDS = ("ABC", "DEF", "GHI", "KLM")


@pytest.fixture(scope="session")
def scans(made_once, draw_page) -> Path:
    """A folder with images, a TIFF and a PDF of several pages, files that are none, and names of all kinds."""

    def make(folder: Path) -> Path:
        (folder / "deeper" / "still").mkdir(parents=True)
        (folder / ".hidden").mkdir()
        pages = [draw_page(word, seed=i)[0] for i, word in enumerate(WORDS)]
        cv2.imwrite(str(folder / "page10.png"), pages[0])
        cv2.imwrite(str(folder / "page2.jpg"), pages[1])
        cv2.imwrite(str(folder / "deeper" / "still" / "ä ö.png"), pages[2])
        cv2.imwrite(str(folder / ".hidden" / "x.png"), pages[2])
        Path(os.fsdecode(os.fsencode(folder) + b"/no\xfftext.png")).write_bytes((folder / "page10.png").read_bytes())
        images = [Image.fromarray(page[:, :, ::-1].copy()) for page in pages]
        images[0].save(folder / "forms.tif", save_all=True, append_images=images[1:3])
        images[2].save(folder / "forms.pdf", save_all=True, append_images=images[3:], resolution=100)
        # A PDF by any name is one.
        shutil.copy(folder / "forms.pdf", folder / "scan.png")
        (folder / "empty.png").touch()
        (folder / "text.jpg").write_text("no image")
        (folder / "cut.png").write_bytes((folder / "page10.png").read_bytes()[:900])
        (folder / "cut.pdf").write_bytes((folder / "forms.pdf").read_bytes()[:700])
        (folder / "cut.tif").write_bytes((folder / "forms.tif").read_bytes()[:70_000])
        (folder / "notes.txt").write_text("not read")
        (folder / "gone.png").symlink_to(folder / "nowhere.png")
        return folder

    return made_once("scans", make)


@pytest.fixture(scope="session")
def archive(made_once, scans) -> Archive:
    """The scans, read with two processes."""
    return made_once("archive", lambda folder: read_archive(scans, folder, model="letters-nano", processes=2))


def rows(folder: Path, kind: str = "pages") -> list[dict]:
    """Return the rows of a table of an archive, in the order of paths and pages."""
    import pyarrow.parquet

    parts = [pyarrow.parquet.read_table(path).to_pylist() for path in sorted((folder / kind).glob("*.parquet"))]
    return sorted((row for part in parts for row in part), key=lambda row: (row["path"], row["page"]))


def names(folder: Path) -> list[tuple[str, int]]:
    """Return the name of the file and the number of each page of an archive."""
    return sorted((Path(row["path"]).name, row["page"]) for row in rows(folder))
