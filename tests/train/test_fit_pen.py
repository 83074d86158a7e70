"""Fitting the built-in pen, and the sheet of what it writes."""

import cv2
import numpy as np
import pytest

from lettercast.train.data.pen import load_pen
from lettercast.train.data.strokes import load_strokes
from lettercast.train.fit_pen import CELL_PX, COLUMNS, contact_sheet, fit_pen, main, resample


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Sixty capital L of one bent stroke each, with a little scatter, and sixty of another contributor that are no L."""
    rng = np.random.default_rng(1)
    bent = np.array([[0, 0], [0, 1000], [500, 1000]], float)
    flat = np.array([[0, 0], [500, 0], [1000, 0]], float)
    letters = [shape + rng.normal(0, 20, (3, 2)) for shape in [bent] * 60 + [flat] * 60]
    return {
        "points": np.concatenate(letters).astype(np.int16),
        "points_per_stroke": np.full(120, 3),
        "strokes_per_sample": np.ones(120, int),
        "label": np.full(120, 11),
        "contributor": np.repeat([0, 1], 60),
        "contributors": np.array(["good", "bad"]),
    }


def test_resampled_points_are_evenly_spaced():
    bent = np.array([[0, 0], [0, 6], [2, 6]], np.float32)
    assert resample(bent, 5).tolist() == [[0, 0], [0, 2], [0, 4], [0, 6], [2, 6]]


def test_dot_is_resampled_to_the_same_point():
    assert resample(np.array([[3, 4]], np.float32), 4).tolist() == [[3, 4]] * 4
    assert resample(np.array([[3, 4], [3, 4]], np.float32), 2).tolist() == [[3, 4]] * 2


def test_mean_of_a_shape_is_the_written_letter(arrays, tmp_path):
    good = {name: values[:60] for name, values in arrays.items() if name not in ("points", "contributors")}
    pen = fit_pen(load_strokes(tmp_path, good | {"points": arrays["points"][:180]}))
    assert {(shape.label, shape.upper) for shape in pen.shapes} == {(11, True)}
    expected = resample(np.array([[0, 0], [0, 1000], [500, 1000]], np.float32))
    for shape in pen.shapes:
        assert np.abs(shape.mean.reshape(24, 2) - expected).max() < 40
        assert np.linalg.norm(shape.components, axis=1).max() < 300


def test_only_the_training_split_is_used(arrays, tmp_path):
    assert fit_pen(load_strokes(tmp_path, arrays | {"split": np.full(120, 2)})).shapes == ()


def cells_of(sheet: np.ndarray) -> np.ndarray:
    """Cut a sheet of samples into (26, COLUMNS, CELL_PX, CELL_PX)."""
    assert sheet.shape == (26 * CELL_PX, COLUMNS * CELL_PX)
    return sheet.reshape(26, CELL_PX, COLUMNS, CELL_PX).swapaxes(1, 2)


def test_command_leaves_out_contributors_and_writes_pen_and_sheet(arrays, tmp_path, capsys):
    np.savez(tmp_path / "s.npz", **arrays)
    words = [tmp_path / "s.npz", "--without", "bad", "--out", tmp_path / "pen.npz", "--sheet", tmp_path / "new" / "pen.png"]
    assert main([str(word) for word in words]) == 0
    pen = load_pen(tmp_path / "pen.npz")
    assert len(pen.shapes) == 1
    assert np.ptp(pen.shapes[0].mean.reshape(24, 2)[:, 1]) > 900
    out = capsys.readouterr().out
    assert "1 shapes" in out and str(tmp_path / "new" / "pen.png") in out
    assert (tmp_path / "new" / "pen.png").read_bytes().startswith(b"\x89PNG")
    sheet = cv2.imread(str(tmp_path / "new" / "pen.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(sheet, contact_sheet(pen))
    # The pen knows the capital L only: every other cell stays empty.
    drawn = cells_of(sheet).min((2, 3)) < 255
    assert np.argwhere(drawn).tolist() == [[11, column] for column in range(COLUMNS // 2, COLUMNS)]


def test_command_without_sheet_writes_the_pen_alone(arrays, tmp_path):
    np.savez(tmp_path / "s.npz", **arrays)
    assert main([str(tmp_path / "s.npz"), "--without", "bad", "--out", str(tmp_path / "pen.npz")]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"s.npz", "pen.npz"}


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_file_without_strokes_is_refused_in_one_line(tmp_path, capsys, content):
    (tmp_path / "s.npz").write_bytes(content)
    assert main([str(tmp_path / "s.npz"), "--out", str(tmp_path / "pen.npz")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "pen.npz").exists()


def test_every_cell_of_the_sheet_has_a_letter_on_white(pen):
    cells = cells_of(contact_sheet(pen))
    assert (cells.min((2, 3)) < 50).all()
    # No letter reaches into its neighbour's cell.
    for edge in (cells[:, :, :2], cells[:, :, -2:], cells[..., :2], cells[..., -2:]):
        assert (edge == 255).all()
