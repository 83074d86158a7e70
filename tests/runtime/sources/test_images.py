"""Images from disk: headers and pixels of every kind."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from lettercast import LettercastError
from lettercast.runtime.page.ink import to_gray
from lettercast.runtime.sources.images import MAX_PIXELS, TURNS, read_header, read_image

SHAPES = [(6, 8), (6, 8, 3), (6, 8, 4)]
# Four quarters, all different, so that every turn and flip shows.
QUARTERS = np.kron(np.array([[250, 170], [90, 10]], np.uint8), np.ones((32, 48), np.uint8))
# What turns an image of each EXIF orientation upright, in NumPy.
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
    """Return a function that saves an image with Pillow and reads it with lettercast."""

    def save(image, suffix: str, **how):
        path = tmp_path / f"p.{suffix}"
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **how)
        return read_image(path)

    return save


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_read_unchanged(tmp_path, shape):
    image = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), image)
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), image)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_by_white(saved, suffix):
    deep = np.array([[0, 257, 30000, 60000, 65535]], np.uint16)
    assert saved(deep, suffix).tolist() == [[0, 1, 116, 233, 255]]


def test_blank_paper_in_16_bits_stays_blank(saved):
    paper = np.random.default_rng(1).normal(60000, 100, (40, 60)).astype(np.uint16)
    assert np.ptp(saved(paper, "png").astype(int)) <= 4


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floats_are_scaled_by_the_smallest_white_that_fits(saved, white):
    image = np.array([[0, 0.2, 0.6, 1]], np.float32) * np.float32(white)
    assert saved(image, "tif").tolist() == [[0, 51, 153, 255]]


def test_nan_and_infinity_are_black(saved):
    assert saved(np.array([[np.nan, np.inf, -np.inf, -1, 0.5, 1]], np.float32), "tif").tolist() == [[0, 0, 0, 0, 128, 255]]


def test_integers_of_32_bits_are_scaled_to_8(saved):
    assert saved(np.array([[0, 13107, 65535]], np.int32), "tif").tolist() == [[0, 51, 255]]


@pytest.mark.parametrize(("suffix", "how"), [("png", {}), ("bmp", {}), ("tif", {}), ("tif", {"compression": "group4"})])
def test_one_bit_is_black_or_white(saved, suffix, how):
    image = saved(Image.fromarray(QUARTERS > 100), suffix, **how)
    np.testing.assert_array_equal(to_gray(image), np.where(QUARTERS > 100, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif"])
def test_a_palette_is_read_in_its_colours(saved, suffix):
    red, blue = (200, 30, 20), (10, 40, 220)
    image = Image.new("P", (20, 10), 0)
    image.putpalette([*red, *blue])
    image.paste(1, (10, 0, 20, 10))
    read = saved(image, suffix)
    assert read[5, 5, :3].tolist() == list(reversed(red))
    assert read[5, 15, :3].tolist() == list(reversed(blue))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_transparent_pixels_are_paper_and_others_keep_their_colour(saved, suffix):
    image = np.zeros((20, 30, 4), np.uint8)
    image[:, :10] = (40, 40, 40, 255)
    image[:, 10:20] = (100, 100, 100, 128)
    read = saved(image, suffix, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    np.testing.assert_allclose(to_gray(read)[10, [5, 15, 25]], [40, 177, 255], atol=1)


def test_a_palette_with_a_transparent_colour_keeps_it_transparent(saved):
    read = saved(Image.new("P", (8, 6), 0), "png", transparency=0)
    assert read.shape == (6, 8, 4)
    assert (to_gray(read) == 255).all()


def test_grey_with_alpha_keeps_its_alpha(saved):
    read = saved(Image.merge("LA", (Image.new("L", (8, 6), 50), Image.new("L", (8, 6), 0))), "png")
    assert (to_gray(read) == 255).all()


def test_a_cmyk_jpeg_is_read_in_its_colours(saved):
    colours = Image.new("RGB", (32, 16), (255, 0, 0))
    colours.paste((255, 255, 255), (16, 0, 32, 16))
    read = saved(colours.convert("CMYK"), "jpg", quality=98)
    np.testing.assert_allclose(read[8, [4, 28]], [[0, 0, 255], [255, 255, 255]], atol=6)


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp"])
def test_the_first_of_several_pages_or_frames_is_read(saved, suffix):
    second = Image.fromarray(255 - QUARTERS)
    how = {"lossless": True} if suffix == "webp" else {}
    read = saved(QUARTERS, suffix, save_all=True, append_images=[second], **how)
    np.testing.assert_array_equal(to_gray(read), QUARTERS)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["jpg", "png", "png with alpha", "webp", "webp with alpha", "tif", "tif of 16 bits"])
def test_an_image_is_upright_whatever_its_exif_orientation(saved, kind, orientation):
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


def test_every_other_orientation_has_a_turn():
    assert set(TURNS) == set(range(2, 9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"hello", "not an image"),
        (b"%PDF-1.7", "not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "lettercast cannot read HEIC; convert it: heif-convert"),
    ],
)
def test_a_file_that_is_not_a_readable_image_is_named(tmp_path, content, message):
    path = tmp_path / "p.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LettercastError, match=f"p.png: .*{message}"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.002, 0.02, 0.5, 0.9, 0.99])
def test_a_truncated_image_is_refused(tmp_path, suffix, share):
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    whole = cv2.imencode(suffix, image)[1].tobytes()
    path = tmp_path / f"p{suffix}"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LettercastError, match="p"):
        read_image(path)


def test_a_jpeg_truncated_after_its_thumbnail_is_refused(tmp_path):
    whole, thumbnail = (cv2.imencode(".jpg", QUARTERS[::step, ::step])[1].tobytes() for step in (1, 8))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    (tmp_path / "p.jpg").write_bytes((whole[:2] + segment + whole[2:])[:-40])
    with pytest.raises(LettercastError, match=r"breaks off|damaged"):
        read_image(tmp_path / "p.jpg")


def test_bytes_after_the_end_of_a_jpeg_are_ignored(tmp_path):
    (tmp_path / "p.jpg").write_bytes(cv2.imencode(".jpg", QUARTERS)[1].tobytes() + b"a phone's own notes" * 50)
    np.testing.assert_allclose(read_image(tmp_path / "p.jpg")[8::16, 8::16], QUARTERS[8::16, 8::16], atol=3)


def white_png(side: int) -> bytes:
    """Return a white PNG of one bit per pixel; 20,000 x 20,000 pixels take 60 kB."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress((b"\0" + b"\xff" * (side // 8)) * side)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_an_image_that_is_too_large_is_refused_before_it_takes_memory(tmp_path):
    """400 million pixels would take far more memory than the process may gain."""
    (tmp_path / "vast.png").write_bytes(white_png(20_000))
    code = (
        "import pathlib, resource, sys\nfrom lettercast.runtime.sources.images import read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_image(pathlib.Path(sys.argv[1]))\nexcept Exception as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "vast.png")]
    message, grown_kb = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "20000 x 20000 pixels, at most 100 million are read; make it smaller" in message
    assert int(grown_kb) < 5_000


def test_an_image_at_the_limit_is_read(tmp_path):
    side = 10_000
    assert side * side == MAX_PIXELS
    (tmp_path / "most.png").write_bytes(white_png(side))
    assert read_image(tmp_path / "most.png").shape == (side, side)


WIDTH, HEIGHT = 300, 200
ORIENTATION = 274


def encoded(kind: str, size=(WIDTH, HEIGHT), mode="RGB", **how) -> bytes:
    file = BytesIO()
    Image.new(mode, size, "white").save(file, kind, **how)
    return file.getvalue()


KINDS = {
    "PNG": encoded("PNG"),
    "JPEG": encoded("JPEG"),
    "JPEG, progressive": encoded("JPEG", progressive=True),
    "BMP": encoded("BMP"),
    "WebP": encoded("WEBP"),
    "WebP, lossless": encoded("WEBP", lossless=True),
    "WebP, animated": encoded("WEBP", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]),
    "TIFF": encoded("TIFF"),
    "TIFF, bilevel": encoded("TIFF", mode="1", compression="group4"),
    "TIFF, of Macintosh": b"MM\0*\0\0\0\x08\0\x02" + struct.pack(">HHIHHHHIHH", 256, 3, 1, 300, 0, 257, 3, 1, 200, 0),
    "GIF": encoded("GIF"),
    "PNM": b"P5 # by a scanner\n300\n200 255\n" + bytes(WIDTH * HEIGHT),
    "AVIF": encoded("AVIF"),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", WIDTH, HEIGHT),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_header_tells_kind_and_size(name):
    header = read_header(BytesIO(KINDS[name]))
    assert (header.kind, header.width, header.height) == (name.split(",")[0], WIDTH, HEIGHT)


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"HEIC", "TIFF, of Macintosh"}))
def test_the_size_in_the_header_is_what_opencv_decodes(name):
    image = cv2.imdecode(np.frombuffer(KINDS[name], np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape[:2] == (HEIGHT, WIDTH)


def test_the_height_of_a_bmp_stored_top_down_is_positive():
    data = bytearray(KINDS["BMP"])
    data[22:26] = struct.pack("<i", -HEIGHT)
    assert read_header(BytesIO(bytes(data))).height == HEIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_header_tells_the_exif_orientation(kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert read_header(BytesIO(encoded(kind, exif=exif))).orientation == orientation


def test_exif_after_the_pixels_of_a_png_counts():
    body = b"eXIfII*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", ORIENTATION, 3, 1, 6) + bytes(4)
    chunk = struct.pack(">I", len(body) - 4) + body + bytes(4)
    whole = KINDS["PNG"]
    assert read_header(BytesIO(whole[:-12] + chunk + whole[-12:])).orientation == 6


def test_a_png_chunk_longer_than_the_file_is_an_error():
    whole = KINDS["PNG"]
    at = whole.index(b"IDAT") - 4
    with pytest.raises(EOFError):
        read_header(BytesIO(whole[:at] + b"\xbd" + whole[at + 1 :]))


def test_bytes_after_the_end_of_a_png_are_not_read():
    assert read_header(BytesIO(KINDS["PNG"] + b"notes of a camera")).width == WIDTH


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"nonsense"])
def test_damaged_exif_is_ignored(exif):
    assert read_header(BytesIO(encoded("JPEG", exif=b"Exif\0\0" + exif))).orientation == 1


def test_the_thumbnail_is_not_taken_for_the_image():
    """EXIF contains a JPEG of its own, and a colour profile puts the frame far from the start of the file."""
    thumbnail = encoded("JPEG", (16, 12))
    profile = b"\xff\xe2" + struct.pack(">H", 60002) + bytes(60000)
    whole = KINDS["JPEG"]
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    header = read_header(BytesIO(whole[:2] + segment + profile + whole[2:]))
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    assert header.start > len(profile)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"BM and more words than a bitmap's header has", b"PDF", b"RIFF1234AVI LIST", bytes(600)]
)
def test_other_files_have_no_header(data):
    assert read_header(BytesIO(data)) is None


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"AVIF", "HEIC"}))
def test_a_truncated_header_is_an_error_and_never_a_guess(name):
    whole = KINDS[name]
    for length in range(8, 40):
        try:
            header = read_header(BytesIO(whole[:length]))
        except (EOFError, ValueError):
            continue
        assert header is None or (header.width, header.height) == (WIDTH, HEIGHT)
