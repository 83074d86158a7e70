"""The queries and the Python of the document about archives run as they are written, and give what they say."""

import os
import re
import shutil
from pathlib import Path

import pytest
from documents.test_python import run_examples

from lettercast.bulk import read_archive

QUERIES = re.findall(
    r"^([^\n]*):\n\n```sql\n(.*?)^```", (Path(__file__).parents[2] / "docs" / "archives.md").read_text(), re.DOTALL | re.MULTILINE
)
# In 2024, on the last day of February.
CHANGED_S = 1_709_200_000


@pytest.fixture(scope="module")
def archive(desk, tmp_path_factory) -> Path:
    """A folder with two scans, a broken one, and the archive of them."""
    folder = tmp_path_factory.mktemp("archive")
    shutil.copytree(desk / "scans", folder / "scans")
    (folder / "scans" / "broken.png").write_bytes(b"broken")
    os.utime(folder / "scans" / "1.png", (CHANGED_S, CHANGED_S))
    read_archive(folder / "scans", folder / "letters.parquet", model="letters-nano", processes=1)
    return folder


def ask(start: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Run the query below this text in a folder."""
    duckdb = pytest.importorskip("duckdb", reason="not installed: pip install duckdb")
    monkeypatch.chdir(folder)
    (query,) = [sql for title, sql in QUERIES if title.startswith(start)]
    found = duckdb.sql(query)
    return found.fetchall() if found is not None else []


def test_pages_are_found_by_a_word(archive, monkeypatch):
    first = [str(archive / "scans" / name) for name in ("1.png", "2.png")]
    assert ask("Pages with a word", archive, monkeypatch) == [(path, 1, "ABC\nDEF") for path in first]
    similar = ask("Pages on which something similar", archive, monkeypatch)
    assert sorted(similar) == [(path, 1, "ABC") for path in first]


def test_doubtful_letters_come_first(archive, monkeypatch):
    rows = ask("The least sure letters", archive, monkeypatch)
    assert len(rows) == 12 and [row[6] for row in rows] == sorted(row[6] for row in rows)
    pages = ask("Pages that a person should check", archive, monkeypatch)
    doubtful = {row[:2] for row in rows if row[6] < 0.8}
    assert {row[:2] for row in pages} == doubtful and all(row[3] == 6 for row in pages)


def test_days_errors_and_a_spreadsheet(archive, monkeypatch):
    days = ask("Pages and letters by day", archive, monkeypatch)
    assert [(str(days[0][0]), *days[0][1:]), sum(row[1] for row in days)] == [("2024-02-29", 1, 6), 3]
    ((reason, count, path),) = ask("What could not be read", archive, monkeypatch)
    assert ("not an image" in reason, count, Path(path).name) == (True, 1, "broken.png")
    ask("A table for a spreadsheet", archive, monkeypatch)
    assert len((archive / "pages.csv").read_text().splitlines()) > 3


def test_every_query_is_tested(archive):
    assert len(QUERIES) == 7


@pytest.mark.usefixtures("at_desk")
def test_reading_an_archive_from_python(capsys):
    names = run_examples("archives.md", ('if __name__ == "__main__":', "if True:"))
    assert capsys.readouterr().out == "2 0 12\n"
    assert names["archive"].path == Path("letters.parquet") and Path("letters.parquet/review.html").exists()
