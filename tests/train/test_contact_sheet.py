"""The sheet of what the built-in pen writes."""

import cv2
import numpy as np

from lettercast.train.contact_sheet import CELL_PX, COLUMNS, contact_sheet, main


def test_every_cell_holds_a_letter_on_white(pen):
    sheet = contact_sheet(pen)
    assert sheet.shape == (26 * CELL_PX, COLUMNS * CELL_PX)
    cells = sheet.reshape(26, CELL_PX, COLUMNS, CELL_PX).swapaxes(1, 2)
    assert (cells.min((2, 3)) < 50).all()
    # No letter runs into its neighbour.
    for edge in (cells[:, :, :2], cells[:, :, -2:], cells[..., :2], cells[..., -2:]):
        assert (edge == 255).all()


def test_the_command_writes_the_picture(tmp_path, pen):
    assert main(tmp_path / "pen.png") == 0
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "pen.png"), cv2.IMREAD_GRAYSCALE), contact_sheet(pen))
