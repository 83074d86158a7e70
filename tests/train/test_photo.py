"""Letters as photographs."""

from dataclasses import replace

import numpy as np

from lettercast.runtime.model.facts import LETTERS, PHOTOS, PICTURES, Facts
from lettercast.train.data.drawing import PHOTO_PX, as_photos, shown

FACTS = Facts("m", "tflite-mobile", ("A", "B"), (28, 28, 1), "uint8")


def bars(count: int = 6) -> np.ndarray:
    """Upright bars, white on black."""
    pictures = np.zeros((count, 28, 28, 1), np.uint8)
    pictures[:, 2:26, 12:16] = 255
    return pictures


def test_dark_on_light_and_light_on_dark_take_turns():
    photos = as_photos(bars(), 1)
    assert (photos.shape, photos.dtype) == ((6, PHOTO_PX, PHOTO_PX, 3), np.uint8)
    corner = photos[:, 0, 0].mean(1)
    assert (corner[::2] > 150).all()
    assert (corner[1::2] < 105).all()


def test_the_ink_keeps_its_share_of_the_letters_picture():
    for i, photo in enumerate(as_photos(bars(), 2)):
        grey = photo.mean(2) if i % 2 == 0 else 255 - photo.mean(2)
        ink = grey < (grey.min() + grey.max()) / 2
        height, width = ink.any(1).sum(), ink.any(0).sum()
        assert 0.5 * 24 / 28 * PHOTO_PX - 2 <= height <= 0.95 * 24 / 28 * PHOTO_PX + 2
        assert abs(height / width - 6) < 1


def test_the_seed_alone_decides():
    np.testing.assert_array_equal(as_photos(bars(), 3), as_photos(bars(), 3))
    assert (as_photos(bars(), 3) != as_photos(bars(), 4)).any()


def test_each_model_is_shown_what_it_takes():
    glyphs = bars()
    assert shown(replace(FACTS, takes=LETTERS), glyphs) is glyphs
    assert shown(replace(FACTS, takes=PHOTOS, input_shape=(PHOTO_PX, PHOTO_PX, 3)), glyphs).shape[1:] == (PHOTO_PX, PHOTO_PX, 3)
    rgb = shown(replace(FACTS, takes=PICTURES, input_shape=(28, 28, 3)), glyphs)
    np.testing.assert_array_equal(rgb, np.repeat(glyphs, 3, -1))
