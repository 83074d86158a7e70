"""A sheet as a PDF of rectangles and Helvetica, which every printer has: a device needs no library to write it."""

from collections.abc import Sequence
from pathlib import Path

from ... import LettercastError, __version__
from ..files import write_bytes
from .drawing import Colour, Item, Rectangle, draw_page
from .layout import SheetPage

POINTS_PER_MM = 72 / 25.4


def write_pdf(path: Path, pages: Sequence[SheetPage]) -> None:
    """Write a sheet as a PDF of version 1.4; raises LettercastError if the file cannot be written."""
    if path.suffix.lower() != ".pdf":
        raise LettercastError(f"{path}: a sheet is a PDF; give a file that ends in .pdf")
    write_bytes(path, pdf_of(pages))


def pdf_of(pages: Sequence[SheetPage]) -> bytes:
    """Return the bytes of a PDF with these pages."""
    fonts = ("Helvetica", "Helvetica-Bold")
    first_font, first_page = 4, 4 + len(fonts)
    kids = " ".join(f"{first_page + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        f"<< /Title (A sheet to write on) /Producer (lettercast {__version__}) >>".encode(),
    ]
    objects += [f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode() for font in fonts]
    resources = f"/Resources << /Font << {' '.join(f'/F{i} {first_font + i} 0 R' for i in range(len(fonts)))} >> >>"
    for i, page in enumerate(pages):
        width, height = (side * POINTS_PER_MM for side in page.size)
        content = b"\n".join(_operators(item, height) for item in draw_page(page))
        box = f"[0 0 {width:.2f} {height:.2f}]"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents {first_page + 2 * i + 1} 0 R {resources} >>".encode(),
            b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        ]
    return _assembled(objects)


def _assembled(objects: Sequence[bytes]) -> bytes:
    """Return a PDF of objects that are numbered from 1: the catalog first, the information third."""
    data = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places: list[int] = []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    data += b"trailer\n<< /Size %d /Root 1 0 R /Info 3 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(data)


def _operators(item: Item, height: float) -> bytes:
    """Return the operators that print an item on a page of this height in points, whose y grows upwards."""
    if isinstance(item, Rectangle):
        x, y = item.left * POINTS_PER_MM, height - (item.top + item.height) * POINTS_PER_MM
        box = f"{x:.3f} {y:.3f} {item.width * POINTS_PER_MM:.3f} {item.height * POINTS_PER_MM:.3f} re"
        if item.outline is None:
            return f"{_colour(item.colour)} rg {box} f".encode()
        return f"{_colour(item.colour)} RG {item.outline * POINTS_PER_MM:.3f} w {box} S".encode()
    x, y = item.left * POINTS_PER_MM, height - item.foot * POINTS_PER_MM
    font = f"BT /F{int(item.is_bold)} {item.points:g} Tf {_colour(item.colour)} rg {x:.3f} {y:.3f} Td".encode()
    text = item.text.encode("cp1252", "replace")
    for sign in (b"\\", b"(", b")"):
        text = text.replace(sign, b"\\" + sign)
    return font + b" (" + text + b") Tj ET"


def _colour(colour: Colour) -> str:
    return " ".join(f"{share:g}" for share in colour)
