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
    """Break off a download in the middle, and refuse to go on."""
    shelf.moods = [HALF, 0]
    with pytest.raises(LettercastError, match="run it again to continue"):
        fetch()
    shelf.asked.clear()


def left(tmp_path) -> dict[str, int]:
    """Return the files in the folder of the download, with their sizes."""
    return {path.name: path.stat().st_size for path in (tmp_path / "new").iterdir()}


def test_checksums_are_those_of_the_algorithms(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert checksum(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"
    assert checksum(tmp_path / "abc", "sha256").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_file_comes_whole_and_says_nothing_where_nobody_looks(fetch, shelf, capfd):
    assert fetch() == DATA
    assert shelf.asked == [(None, None)]
    assert capfd.readouterr() == ("", "")


def test_what_is_there_already_is_not_asked_for(fetch, shelf):
    fetch()
    shelf.asked.clear()
    assert fetch() == DATA
    assert shelf.asked == []


def test_what_is_there_but_damaged_is_downloaded_again(fetch, shelf, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.zip").write_bytes(DATA[:-1])
    assert fetch() == DATA


def test_a_broken_connection_is_taken_up_at_once_for_the_rest_alone(fetch, shelf):
    shelf.moods = [HALF, 1000]
    assert fetch() == DATA
    assert shelf.asked == [(None, None), (f"bytes={HALF}-", None), (f"bytes={HALF + 1000}-", None)]


def test_the_next_run_asks_for_the_rest_alone(fetch, shelf, tmp_path):
    leave_half(shelf, fetch)
    assert left(tmp_path)["f.zip.partial"] == HALF
    assert fetch() == DATA
    assert shelf.asked == [(f"bytes={HALF}-", None)]


def test_a_download_that_was_killed_when_all_had_come_is_not_begun_anew(fetch, shelf, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.zip.partial").write_bytes(DATA)
    (tmp_path / "new" / "f.zip.version").write_bytes(b"\xff no text")
    assert fetch() == DATA
    assert shelf.asked == []


def test_a_note_of_the_version_that_is_no_text_does_no_harm(fetch, shelf, tmp_path):
    leave_half(shelf, fetch)
    (tmp_path / "new" / "f.zip.version").write_bytes(b"\xff\n\xfe")
    assert fetch() == DATA


def test_a_server_that_breaks_off_again_and_again_is_left_and_what_came_is_kept(fetch, shelf, tmp_path):
    shelf.moods = [10] * (MAX_CONNECTIONS + 1)
    with pytest.raises(LettercastError, match=r"broke off, .* kept: run it again to continue, or ask a friend"):
        fetch()
    assert len(shelf.asked) == MAX_CONNECTIONS
    assert left(tmp_path)["f.zip.partial"] == 10 * MAX_CONNECTIONS


def test_an_interrupt_keeps_what_came(fetch, shelf, tmp_path):
    shelf.moods = [HALF, "interrupt"]
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert left(tmp_path)["f.zip.partial"] == HALF
    assert fetch() == DATA
    assert shelf.asked[-1] == (f"bytes={HALF}-", None)


def test_a_server_that_has_only_the_whole_sends_it_anew(fetch, shelf):
    leave_half(shelf, fetch)
    shelf.knows_ranges = False
    assert fetch() == DATA


@pytest.mark.parametrize("marks", [{"etag": '"one"'}, {"date": "Mon, 01 Jan 2024 00:00:00 GMT", "etag": 'W/"weak"'}])
def test_another_file_by_now_is_sent_anew(fetch, shelf, marks):
    for name, value in marks.items():
        setattr(shelf, name, value)
    leave_half(shelf, fetch)
    shelf.files["/f.zip"] = DATA[::-1]
    shelf.etag, shelf.date = '"two"', "Tue, 02 Jan 2024 00:00:00 GMT"
    assert fetch(DATA[::-1]) == DATA[::-1]
    assert shelf.asked == [(f"bytes={HALF}-", marks.get("date", marks["etag"]))]


def test_the_same_file_still_is_gone_on_with(fetch, shelf):
    shelf.etag = '"one"'
    leave_half(shelf, fetch)
    shelf.moods = [7]
    assert fetch() == DATA
    assert shelf.asked == [(f"bytes={HALF}-", '"one"'), (f"bytes={HALF + 7}-", '"one"')]


def test_more_than_there_is_on_the_server_is_thrown_away(fetch, shelf, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.zip.partial").write_bytes(bytes(len(DATA)))
    assert fetch() == DATA
    assert shelf.asked == [(f"bytes={len(DATA)}-", None), (None, None)]


def test_another_part_than_was_asked_for_is_not_taken(fetch, shelf, tmp_path):
    leave_half(shelf, fetch)
    shelf.shifts_ranges_by = -5
    with pytest.raises(LettercastError, match="another part"):
        fetch()
    assert fetch() == DATA


def test_another_file_than_was_expected_is_removed(fetch, shelf, tmp_path):
    shelf.etag = '"one"'
    with pytest.raises(LettercastError, match=r"http.*f.zip: the download was not the expected file .* removed; .* ask a friend"):
        fetch(b"something else")
    assert left(tmp_path) == {}


def test_a_cut_file_of_untold_length_is_found_by_its_checksum(fetch, shelf, tmp_path):
    shelf.tells_length = False
    assert fetch() == DATA
    (tmp_path / "new" / "f.zip").unlink()
    shelf.moods = [HALF]
    with pytest.raises(LettercastError, match="not the expected file"):
        fetch()
    assert left(tmp_path) == {}


def test_a_refusal_is_named(fetch, shelf):
    shelf.files.clear()
    with pytest.raises(LettercastError, match=r"f.zip: the server refused it \(404 Not Found\); try again, or ask a friend"):
        fetch()


def test_a_server_that_says_nothing_is_left(fetch, shelf):
    shelf.moods = ["silence"]
    with pytest.raises(LettercastError, match=r"no connection \(timed out\)"):
        fetch(timeout_s=0.1)


def test_no_network_is_one_line_that_names_the_way_out(tmp_path, shelf):
    with socket.socket() as taken:
        # Bound, but nobody listens.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/f.zip"
        with pytest.raises(LettercastError, match=f"{url}: no connection .*; try again, or {INSTEAD}") as caught:
            download(url, tmp_path / "f.zip", md5(DATA), INSTEAD)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_cannot_be_written_is_no_network_fault(tmp_path, shelf):
    shelf.files["/f.zip"] = DATA
    (tmp_path / "f.zip.partial").mkdir()
    with pytest.raises(LettercastError, match="directory; make room there, or ask a friend"):
        download(f"{shelf.url}/f.zip", tmp_path / "f.zip", md5(DATA), INSTEAD)
