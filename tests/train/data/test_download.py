"""Downloads that continue where the connection broke off."""

import hashlib
import socket

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.emnist import MAX_CONNECTIONS, checksum, download

DATA = np.random.default_rng(1).bytes(300_000)
HALF = 150_000
INSTEAD = "ask a friend"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def fetch(shelf, tmp_path):
    """Return a function that downloads the file and returns its bytes."""
    shelf.files["/f.zip"] = DATA

    def run(expected: bytes = DATA, **options) -> bytes:
        path = tmp_path / "new" / "f.zip"
        download(f"{shelf.url}/f.zip", path, md5(expected), INSTEAD, **options)
        assert [p.name for p in path.parent.iterdir()] == ["f.zip"]
        return path.read_bytes()

    return run


def leave_half(shelf, fetch):
    """Break off a download in the middle, and refuse to continue."""
    shelf.faults = [HALF, 0]
    with pytest.raises(LettercastError, match="run it again to continue"):
        fetch()
    shelf.asked.clear()


def left(tmp_path) -> dict[str, int]:
    """Return the sizes of the files in the download's folder by name."""
    return {path.name: path.stat().st_size for path in (tmp_path / "new").iterdir()}


def test_checksums_match_known_values(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert checksum(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"
    assert checksum(tmp_path / "abc", "sha256").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_download_is_complete_and_silent_without_a_terminal(fetch, shelf, capfd):
    assert fetch() == DATA
    assert shelf.asked == [(None, None)]
    assert capfd.readouterr() == ("", "")


def test_existing_file_is_not_downloaded_again(fetch, shelf):
    fetch()
    shelf.asked.clear()
    assert fetch() == DATA
    assert shelf.asked == []


def test_damaged_file_is_downloaded_again(fetch, shelf, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.zip").write_bytes(DATA[:-1])
    assert fetch() == DATA


def test_broken_connection_continues_at_once_with_the_rest(fetch, shelf):
    shelf.faults = [HALF, 1000]
    assert fetch() == DATA
    assert shelf.asked == [(None, None), (f"bytes={HALF}-", None), (f"bytes={HALF + 1000}-", None)]


def test_next_run_asks_only_for_the_rest(fetch, shelf, tmp_path):
    leave_half(shelf, fetch)
    assert left(tmp_path)["f.zip.partial"] == HALF
    assert fetch() == DATA
    assert shelf.asked == [(f"bytes={HALF}-", None)]


def test_complete_partial_file_is_not_downloaded_again(fetch, shelf, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.zip.partial").write_bytes(DATA)
    (tmp_path / "new" / "f.zip.version").write_bytes(b"\xff no text")
    assert fetch() == DATA
    assert shelf.asked == []


def test_damaged_version_file_is_ignored(fetch, shelf, tmp_path):
    leave_half(shelf, fetch)
    (tmp_path / "new" / "f.zip.version").write_bytes(b"\xff\n\xfe")
    assert fetch() == DATA


def test_repeated_breaks_end_the_download_and_keep_what_arrived(fetch, shelf, tmp_path):
    shelf.faults = [10] * (MAX_CONNECTIONS + 1)
    with pytest.raises(LettercastError, match=r"broke off, .* kept: run it again to continue, or ask a friend"):
        fetch()
    assert len(shelf.asked) == MAX_CONNECTIONS
    assert left(tmp_path)["f.zip.partial"] == 10 * MAX_CONNECTIONS


def test_interrupt_keeps_what_arrived(fetch, shelf, tmp_path):
    shelf.faults = [HALF, "interrupt"]
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert left(tmp_path)["f.zip.partial"] == HALF
    assert fetch() == DATA
    assert shelf.asked[-1] == (f"bytes={HALF}-", None)


def test_server_without_ranges_sends_the_whole_file_again(fetch, shelf):
    leave_half(shelf, fetch)
    shelf.knows_ranges = False
    assert fetch() == DATA


@pytest.mark.parametrize("marks", [{"etag": '"one"'}, {"date": "Mon, 01 Jan 2024 00:00:00 GMT", "etag": 'W/"weak"'}])
def test_changed_file_is_downloaded_from_the_start(fetch, shelf, marks):
    for name, value in marks.items():
        setattr(shelf, name, value)
    leave_half(shelf, fetch)
    shelf.files["/f.zip"] = DATA[::-1]
    shelf.etag, shelf.date = '"two"', "Tue, 02 Jan 2024 00:00:00 GMT"
    assert fetch(DATA[::-1]) == DATA[::-1]
    assert shelf.asked == [(f"bytes={HALF}-", marks.get("date", marks["etag"]))]


def test_unchanged_file_is_continued(fetch, shelf):
    shelf.etag = '"one"'
    leave_half(shelf, fetch)
    shelf.faults = [7]
    assert fetch() == DATA
    assert shelf.asked == [(f"bytes={HALF}-", '"one"'), (f"bytes={HALF + 7}-", '"one"')]


def test_partial_file_longer_than_the_servers_is_discarded(fetch, shelf, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.zip.partial").write_bytes(bytes(len(DATA)))
    assert fetch() == DATA
    assert shelf.asked == [(f"bytes={len(DATA)}-", None), (None, None)]


def test_wrong_range_is_refused(fetch, shelf, tmp_path):
    leave_half(shelf, fetch)
    shelf.shifts_ranges_by = -5
    with pytest.raises(LettercastError, match="another part"):
        fetch()
    assert fetch() == DATA


def test_unexpected_file_is_removed(fetch, shelf, tmp_path):
    shelf.etag = '"one"'
    with pytest.raises(LettercastError, match=r"http.*f.zip: the download was not the expected file .* removed; .* ask a friend"):
        fetch(b"something else")
    assert left(tmp_path) == {}


def test_checksum_finds_a_truncated_file_of_unknown_length(fetch, shelf, tmp_path):
    shelf.sends_length = False
    assert fetch() == DATA
    (tmp_path / "new" / "f.zip").unlink()
    shelf.faults = [HALF]
    with pytest.raises(LettercastError, match="not the expected file"):
        fetch()
    assert left(tmp_path) == {}


def test_refusal_of_the_server_is_named(fetch, shelf):
    shelf.files.clear()
    with pytest.raises(LettercastError, match=r"f.zip: the server refused it \(404 Not Found\); try again, or ask a friend"):
        fetch()


def test_silent_server_times_out(fetch, shelf):
    shelf.faults = ["silence"]
    with pytest.raises(LettercastError, match=r"no connection \(timed out\)"):
        fetch(timeout_s=0.1)


def test_no_network_gives_one_line_with_advice(tmp_path, shelf):
    with socket.socket() as taken:
        # Bound, but nobody listens.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/f.zip"
        with pytest.raises(LettercastError, match=f"{url}: no connection .*; try again, or {INSTEAD}") as caught:
            download(url, tmp_path / "f.zip", md5(DATA), INSTEAD)
    assert len(str(caught.value).splitlines()) == 1


def test_file_that_cannot_be_written_is_not_called_a_network_error(tmp_path, shelf):
    shelf.files["/f.zip"] = DATA
    (tmp_path / "f.zip.partial").mkdir()
    with pytest.raises(LettercastError, match="directory; make room there, or ask a friend"):
        download(f"{shelf.url}/f.zip", tmp_path / "f.zip", md5(DATA), INSTEAD)
