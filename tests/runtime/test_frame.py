"""What a source gives."""

import numpy as np

from lettercast.runtime.pixels import Frame


def test_a_frame_belongs_to_a_moving_picture_unless_it_says_otherwise():
    assert not Frame("0", 3, np.zeros((4, 6), np.uint8)).is_still
