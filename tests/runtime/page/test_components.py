"""Connected strokes are those of OpenCV, with its statistics."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.page.components import find_components


@pytest.mark.parametrize("share", [0.0, 0.03, 0.3, 0.97, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (40, 61), (97, 8)])
def test_strokes_have_the_statistics_of_opencv(shape, share):
    mask = np.where(np.random.default_rng([*shape, round(100 * share)]).random(shape) < share, 255, 0).astype(np.uint8)
    found = find_components(mask)
    _, labels, stats, middles = cv2.connectedComponentsWithStats(mask, connectivity=8)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.boxes[1:], stats[1:, :4])
    np.testing.assert_array_equal(found.areas[1:], stats[1:, 4])
    np.testing.assert_array_equal(found.middles[1:], middles[1:, 1])
    np.testing.assert_array_equal(np.column_stack(found.inked), np.argwhere(mask))
    assert not found.boxes[0].any()
