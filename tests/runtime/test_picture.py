"""Pictures from disk: every kind, pixel by pixel."""

import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from lettercast import LettercastError
from lettercast.runtime.page.ink import to_gray
from lettercast.runtime.sources.images import MAX_PIXELS, TURNS, read_image

SHAPES = [(6, 8), (6, 8, 3), (6, 8, 4)]
ORIENTATION = 274
# Four quarters, all different, by which every turn can be told.
QUARTERS = np.kron(np.array([[250, 170], [90, 10]], np.uint8), np.ones((32, 48), np.uint8))
# How EXIF's orientations undo how the camera was held, by NumPy's own words for it.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves a picture with Pillow and reads it with ours."""

    def save(picture, suffix: str, **how):
        path = tmp_path / f"p.{suffix}"
        (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **how)
        return read_image(path)

    return save


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_is_read_as_it_is(tmp_path, shape):
    image = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), image)
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), image)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_share_of_white(saved, suffix):
    deep = np.array([[0, 257, 30000, 60000, 65535]], np.uint16)
    assert saved(deep, suffix).tolist() == [[0, 1, 116, 233, 255]]


def test_blank_paper_in_sixteen_bits_stays_blank(saved):
    paper = np.random.default_rng(1).normal(60000, 100, (40, 60)).astype(np.uint16)
    assert np.ptp(saved(paper, "png").astype(int)) <= 4


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floats_are_shares_of_the_white_that_their_size_suggests(saved, white):
    image = np.array([[0, 0.2, 0.6, 1]], np.float32) * np.float32(white)
    assert saved(image, "tif").tolist() == [[0, 51, 153, 255]]


def test_what_is_not_a_number_is_black(saved):
    assert saved(np.array([[np.nan, np.inf, -np.inf, -1, 0.5, 1]], np.float32), "tif").tolist() == [[0, 0, 0, 0, 128, 255]]


def test_whole_numbers_of_32_bits_are_brought_to_eight(saved):
    assert saved(np.array([[0, 13107, 65535]], np.int32), "tif").tolist() == [[0, 51, 255]]


@pytest.mark.parametrize(("suffix", "how"), [("png", {}), ("bmp", {}), ("tif", {}), ("tif", {"compression": "group4"})])
def test_one_bit_is_black_and_white(saved, suffix, how):
    image = saved(Image.fromarray(QUARTERS > 100), suffix, **how)
    np.testing.assert_array_equal(to_gray(image), np.where(QUARTERS > 100, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif"])
def test_a_palette_gives_its_colours(saved, suffix):
    red, blue = (200, 30, 20), (10, 40, 220)
    image = Image.new("P", (20, 10), 0)
    image.putpalette([*red, *blue])
    image.paste(1, (10, 0, 20, 10))
    read = saved(image, suffix)
    assert read[5, 5, :3].tolist() == list(reversed(red))
    assert read[5, 15, :3].tolist() == list(reversed(blue))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_what_is_transparent_is_paper_and_the_rest_keeps_its_colour(saved, suffix):
    image = np.zeros((20, 30, 4), np.uint8)
    image[:, :10] = (40, 40, 40, 255)
    image[:, 10:20] = (100, 100, 100, 128)
    read = saved(image, suffix, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    np.testing.assert_allclose(to_gray(read)[10, [5, 15, 25]], [40, 177, 255], atol=1)


def test_a_palette_with_a_transparent_colour_keeps_it_transparent(saved):
    read = saved(Image.new("P", (8, 6), 0), "png", transparency=0)
    assert read.shape == (6, 8, 4)
    assert (to_gray(read) == 255).all()


def test_grey_with_alpha_is_read_with_alpha(saved):
    read = saved(Image.merge("LA", (Image.new("L", (8, 6), 50), Image.new("L", (8, 6), 0))), "png")
    assert (to_gray(read) == 255).all()


def test_a_jpeg_in_four_inks_has_its_colours(saved):
    colours = Image.new("RGB", (32, 16), (255, 0, 0))
    colours.paste((255, 255, 255), (16, 0, 32, 16))
    read = saved(colours.convert("CMYK"), "jpg", quality=98)
    np.testing.assert_allclose(read[8, [4, 28]], [[0, 0, 255], [255, 255, 255]], atol=6)


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp"])
def test_of_several_pages_or_frames_the_first_is_read(saved, suffix):
    second = Image.fromarray(255 - QUARTERS)
    how = {"lossless": True} if suffix == "webp" else {}
    read = saved(QUARTERS, suffix, save_all=True, append_images=[second], **how)
    np.testing.assert_array_equal(to_gray(read), QUARTERS)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["jpg", "png", "png with alpha", "webp", "webp with alpha", "tif", "tif of 16 bits"])
def test_a_picture_stands_upright_however_the_camera_was_held(saved, kind, orientation):
    suffix, _, more = kind.partition(" ")
    image = QUARTERS
    if more == "with alpha":
        alpha = np.full_like(image, 255)
        alpha[0, 0] = 0
        image = np.dstack([image] * 3 + [alpha])
    elif more:
        image = image.astype(np.uint16) * 257
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    how = {"tiffinfo" if suffix == "tif" else "exif": exif}
    read = saved(image, suffix, **how, **({"lossless": True} if suffix == "webp" else {}))
    assert read.ndim == 2 or read.shape[2] == (4 if more == "with alpha" else 3 if suffix == "webp" else 1)
    gray = to_gray(read)
    expected = UPRIGHT[orientation](QUARTERS)
    assert gray.shape == expected.shape
    np.testing.assert_allclose(gray[8::16, 8::16], expected[8::16, 8::16], atol=3)


def test_every_orientation_but_the_upright_one_turns():
    assert set(TURNS) == set(range(2, 9))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"%PDF-1.7", "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC is not read here; convert it: heif-convert"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, said):
    path = tmp_path / "p.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LettercastError, match=f"p.png: .*{said}"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.002, 0.02, 0.5, 0.9, 0.99])
def test_a_truncated_picture_is_refused(tmp_path, suffix, share):
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    whole = cv2.imencode(suffix, image)[1].tobytes()
    path = tmp_path / f"p{suffix}"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LettercastError, match="p"):
        read_image(path)


def test_a_jpeg_that_breaks_off_after_its_thumbnail_is_refused(tmp_path):
    whole, thumbnail = (cv2.imencode(".jpg", QUARTERS[::step, ::step])[1].tobytes() for step in (1, 8))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    (tmp_path / "p.jpg").write_bytes((whole[:2] + segment + whole[2:])[:-40])
    with pytest.raises(LettercastError, match=r"breaks off|damaged"):
        read_image(tmp_path / "p.jpg")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path):
    (tmp_path / "p.jpg").write_bytes(cv2.imencode(".jpg", QUARTERS)[1].tobytes() + b"a phone's own notes" * 50)
    np.testing.assert_allclose(read_image(tmp_path / "p.jpg")[8::16, 8::16], QUARTERS[8::16, 8::16], atol=3)


def white_png(side: int) -> bytes:
    """A white picture of one bit a pixel: 20,000 x 20,000 are 60 kB."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress((b"\0" + b"\xff" * (side // 8)) * side)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_that_is_too_large_costs_no_memory(tmp_path):
    """Its process is allowed far less memory than its 400 million pixels would take."""
    (tmp_path / "vast.png").write_bytes(white_png(20_000))
    code = (
        "import pathlib, resource, sys\nfrom lettercast.runtime.sources.images import read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_image(pathlib.Path(sys.argv[1]))\nexcept Exception as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "vast.png")]
    said, grown_kb = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "20000 x 20000 pixels, 100 million at most; make it smaller" in said
    assert int(grown_kb) < 5_000


def test_the_limit_is_met_exactly(tmp_path):
    side = 10_000
    assert side * side == MAX_PIXELS
    (tmp_path / "most.png").write_bytes(white_png(side))
    assert read_image(tmp_path / "most.png").shape == (side, side)
