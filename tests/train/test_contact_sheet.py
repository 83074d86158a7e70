"""The sheet of what the built-in pen writes."""

from lettercast.train.fit_pen import CELL_PX, COLUMNS, contact_sheet


def test_every_cell_holds_a_letter_on_white(pen):
    sheet = contact_sheet(pen)
    assert sheet.shape == (26 * CELL_PX, COLUMNS * CELL_PX)
    cells = sheet.reshape(26, CELL_PX, COLUMNS, CELL_PX).swapaxes(1, 2)
    assert (cells.min((2, 3)) < 50).all()
    # No letter runs into its neighbour.
    for edge in (cells[:, :, :2], cells[:, :, -2:], cells[..., :2], cells[..., -2:]):
        assert (edge == 255).all()
