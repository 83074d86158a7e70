"""The A-Z CSV: a label and 784 pixels per line."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.az_csv import read_az_csv

GOOD = ["3", *["0"] * 783, "255"]
HEADER = ",".join(["0", *[f"0.{number}" for number in range(1, 785)]])


@pytest.fixture
def rows() -> np.ndarray:
    """Seven rows, (7, 785): label first."""
    rng = np.random.default_rng(1)
    return np.column_stack([[0, 25, 2, 2, 7, 0, 1], rng.integers(0, 256, (7, 784))])


@pytest.fixture
def written(tmp_path):
    """Return a function that writes lines as a CSV and returns its path."""

    def write(*lines: str, end: str = "\n", head: bytes = b""):
        path = tmp_path / "letters.csv"
        path.write_bytes(head + "".join(line + end for line in lines).encode())
        return path

    return write


def lines_of(rows: np.ndarray) -> list[str]:
    return [",".join(map(str, row)) for row in rows]


@pytest.mark.parametrize("rows_at_once", [1, 3, 7, 100])
def test_label_and_pixels_are_read_row_by_row(written, rows, rows_at_once):
    inks, labels = read_az_csv(written(*lines_of(rows)), rows_at_once)
    assert labels.tolist() == [0, 25, 2, 2, 7, 0, 1]
    assert inks.dtype == np.uint8
    np.testing.assert_array_equal(inks[4, 2], rows[4, 1 + 2 * 28 : 1 + 3 * 28])
    np.testing.assert_array_equal(inks, rows[:, 1:].reshape(7, 28, 28))


@pytest.mark.parametrize("header", [HEADER, "label," + ",".join(f"pixel{number}" for number in range(784)), "letters"])
def test_header_is_skipped(written, rows, header):
    np.testing.assert_array_equal(read_az_csv(written(header, *lines_of(rows)))[0], read_az_csv(written(*lines_of(rows)))[0])


def test_first_line_with_one_wrong_value_is_not_a_header(written, rows):
    first = lines_of(rows)[0].split(",")
    first[9] = "x"
    with pytest.raises(LettercastError, match="line 1 has 'x' among its values"):
        read_az_csv(written(",".join(first), *lines_of(rows)))


def test_windows_line_ends_byte_order_mark_and_blank_lines_are_fine(written, rows):
    path = written(*lines_of(rows)[:3], "", *lines_of(rows)[3:], "", "", end="\r\n", head=b"\xef\xbb\xbf")
    assert read_az_csv(path, 2)[1].tolist() == rows[:, 0].tolist()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (GOOD[:-1], "has 784 values"),
        ([*GOOD, "0"], "has 786 values"),
        (["3"], "has 1 values"),
        ([*GOOD[:-1], "256"], "has '256'"),
        ([*GOOD[:-1], "-1"], "has '-1'"),
        ([*GOOD[:-1], "99999999999999999999"], "has '99999999999999999999'"),
        ([*GOOD[:-1], "ink"], "has 'ink'"),
        ([*GOOD[:-1], "0.5"], "has '0.5'"),
        ([*GOOD[:-1], "nan"], "has 'nan'"),
        ([*GOOD[:-1], ""], "has ''"),
        ([*GOOD[:-1], "#1"], "has '#1'"),
        (["27", *GOOD[1:]], "has the label 27; labels go from 0"),
        (["A", *GOOD[1:]], "has 'A'"),
    ],
)
@pytest.mark.parametrize("rows_at_once", [2, 100])
def test_invalid_line_is_named(written, bad, said, rows_at_once):
    good = ",".join(GOOD)
    path = written(HEADER, good, "", good, ",".join(bad), good)
    with pytest.raises(LettercastError, match=f"letters.csv: line 5 {said}"):
        read_az_csv(path, rows_at_once)


@pytest.mark.parametrize("bad", [GOOD[:-1], [*GOOD, "0"]])
def test_rows_of_a_common_wrong_width_are_refused(written, bad):
    with pytest.raises(LettercastError, match=f"line 1 has {len(bad)} values"):
        read_az_csv(written(*[",".join(bad)] * 3))


def test_first_line_of_whole_numbers_is_not_a_header(written):
    with pytest.raises(LettercastError, match="line 1 has the label 99"):
        read_az_csv(written(",".join(["99", *GOOD[1:]]), ",".join(GOOD)))


@pytest.mark.parametrize("lines", [[], [HEADER], ["", ""]])
def test_file_without_letters_is_refused(written, lines):
    with pytest.raises(LettercastError, match="holds no letters"):
        read_az_csv(written(*lines))


def test_bytes_that_are_not_text_are_refused(written):
    with pytest.raises(LettercastError, match="line 2 has 1 values"):
        read_az_csv(written("", head=b"\xff\xfe\x00\n\xff\xff"))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(LettercastError, match=r"none.csv: No such file"):
        read_az_csv(tmp_path / "none.csv")
