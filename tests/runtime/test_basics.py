"""Small things that the whole runtime uses: medians, frames, messages."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.console import first_line, say, without_password
from lettercast.runtime.pixels import Frame, median, percentile


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 99])
def test_median_and_percentile_equal_those_of_numpy(count):
    for seed in range(20):
        values = np.random.default_rng([count, seed]).normal(size=count)
        assert median(values) == np.median(values)
        assert [percentile(values, percent) for percent in (0, 33.3, 70, 80, 100)] == [
            np.percentile(values, percent) for percent in (0, 33.3, 70, 80, 100)
        ]


def test_the_median_of_integers_may_lie_between_them():
    assert median([4, 1]) == 2.5
    assert percentile(np.array([0, 10], np.uint8), 75) == 7.5


def test_a_frame_is_not_still_by_default():
    assert not Frame("0", 3, np.zeros((4, 6), np.uint8)).is_still


def test_a_message_is_one_line_on_stderr(capsys):
    say(LettercastError("page.jpg: damaged;\n copy it again"))
    assert capsys.readouterr() == ("", "lettercast: page.jpg: damaged; copy it again\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n first \n second"), "first"),
        (KeyError(), "KeyError"),
        (ValueError("x" * 300), "x" * 200),
        (
            TypeError("<class 'F'> could not be deserialized.\n\nconfig={}.\n\nException encountered: no such argument"),
            "no such argument",
        ),
        (
            ValueError(
                "Exception encountered when calling Dense.call().\n\n\x1b[1mshapes differ\x1b[0m\n\nArguments received: x"
            ),
            "shapes differ",
        ),
        (
            ValueError(
                "A total of 4 objects could not be loaded. Example error message for object <Dense>:\n\n2 weights\n\nList: ..."
            ),
            "2 weights",
        ),
        (UnicodeDecodeError("utf-8", b"\x82 name", 0, 1, "invalid start byte"), "a name or value in it is not UTF-8 text"),
    ],
)
def test_the_line_of_an_error_is_its_cause(error, line):
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.5:554/live", "rtsp://10.0.0.5:554/live"),
        ("rtsp://admin@cam/live", "rtsp://admin@cam/live"),
        ("rtsp://admin:secret@cam/live?x=1", "rtsp://admin:***@cam/live?x=1"),
        ("rtsp://admin:s@cr:et@cam/live", "rtsp://admin:***@cam/live"),
        ("http://cam/video?user=me&pwd=secret&fps=5", "http://cam/video?user=me&pwd=***&fps=5"),
        ("http://cam/video?access_token=secret#top", "http://cam/video?access_token=***#top"),
        ("http://cam/a@b:c@d", "http://cam/a@b:c@d"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown
