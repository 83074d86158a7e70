"""What the first bytes of a picture say."""

import struct
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from lettercast.runtime.sources.images import read_header

WIDTH, HEIGHT = 300, 200
ORIENTATION = 274


def picture(kind: str, size=(WIDTH, HEIGHT), mode="RGB", **how) -> bytes:
    file = BytesIO()
    Image.new(mode, size, "white").save(file, kind, **how)
    return file.getvalue()


KINDS = {
    "PNG": picture("PNG"),
    "JPEG": picture("JPEG"),
    "JPEG, progressive": picture("JPEG", progressive=True),
    "BMP": picture("BMP"),
    "WebP": picture("WEBP"),
    "WebP, lossless": picture("WEBP", lossless=True),
    "WebP, animated": picture("WEBP", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]),
    "TIFF": picture("TIFF"),
    "TIFF, bilevel": picture("TIFF", mode="1", compression="group4"),
    "TIFF, of Macintosh": b"MM\0*\0\0\0\x08\0\x02" + struct.pack(">HHIHHHHIHH", 256, 3, 1, 300, 0, 257, 3, 1, 200, 0),
    "GIF": picture("GIF"),
    "PNM": b"P5 # by a scanner\n300\n200 255\n" + bytes(WIDTH * HEIGHT),
    "AVIF": picture("AVIF"),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", WIDTH, HEIGHT),
}


@pytest.mark.parametrize("name", KINDS)
def test_kind_and_size_are_those_of_the_picture(name):
    header = read_header(BytesIO(KINDS[name]))
    assert (header.kind, header.width, header.height) == (name.split(",")[0], WIDTH, HEIGHT)


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"HEIC", "TIFF, of Macintosh"}))
def test_the_size_is_what_opencv_decodes(name):
    image = cv2.imdecode(np.frombuffer(KINDS[name], np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape[:2] == (HEIGHT, WIDTH)


def test_of_a_bmp_stored_from_top_to_bottom_the_height_is_positive():
    data = bytearray(KINDS["BMP"])
    data[22:26] = struct.pack("<i", -HEIGHT)
    assert read_header(BytesIO(bytes(data))).height == HEIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_is_that_of_exif(kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert read_header(BytesIO(picture(kind, exif=exif))).orientation == orientation


def test_exif_after_the_pixels_of_a_png_counts():
    body = b"eXIfII*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", ORIENTATION, 3, 1, 6) + bytes(4)
    chunk = struct.pack(">I", len(body) - 4) + body + bytes(4)
    whole = KINDS["PNG"]
    assert read_header(BytesIO(whole[:-12] + chunk + whole[-12:])).orientation == 6


def test_a_chunk_that_claims_more_than_the_file_holds_is_an_error():
    whole = KINDS["PNG"]
    at = whole.index(b"IDAT") - 4
    with pytest.raises(EOFError):
        read_header(BytesIO(whole[:at] + b"\xbd" + whole[at + 1 :]))


def test_bytes_after_the_end_of_a_png_are_not_read():
    assert read_header(BytesIO(KINDS["PNG"] + b"notes of its maker")).width == WIDTH


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"nonsense"])
def test_exif_that_makes_no_sense_leaves_a_picture_as_it_is(exif):
    assert read_header(BytesIO(picture("JPEG", exif=b"Exif\0\0" + exif))).orientation == 1


def test_a_thumbnail_is_not_the_picture():
    """EXIF holds a JPEG of its own, and more before the frame than is read at first."""
    thumbnail = picture("JPEG", (16, 12))
    profile = b"\xff\xe2" + struct.pack(">H", 60002) + bytes(60000)
    whole = KINDS["JPEG"]
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    header = read_header(BytesIO(whole[:2] + segment + profile + whole[2:]))
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    assert header.start > len(profile)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"BM and more words than a bitmap's header has", b"PDF", b"RIFF1234AVI LIST", bytes(600)]
)
def test_what_is_no_picture_has_no_header(data):
    assert read_header(BytesIO(data)) is None


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"AVIF", "HEIC"}))
def test_a_header_that_breaks_off_is_an_error_and_never_a_guess(name):
    whole = KINDS[name]
    for length in range(8, 40):
        try:
            header = read_header(BytesIO(whole[:length]))
        except (EOFError, ValueError):
            continue
        assert header is None or (header.width, header.height) == (WIDTH, HEIGHT)
