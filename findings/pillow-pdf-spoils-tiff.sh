#!/usr/bin/env bash
# Pages that Pillow has saved as a PDF cannot be saved as a TIFF of several pages any more.
#
# Versions: pillow 13.0.0.
# Behaviour: saving grey or colour images with save_all=True as a PDF leaves settings of its JPEG encoder on the images that were
# appended. Saving the same images as a TIFF afterwards passes these settings on to the encoder of the TIFF, which raises a
# TypeError. The other way round, first the TIFF and then the PDF, both work.
# Why it surprises: saving an image should not change it, the same call worked a line before, and the message names neither the
# PDF nor an image.
# What to do: save the TIFF first, or save copies: append_images=[page.copy() for page in pages[1:]].
#
# Seen (two grey pages of 20 x 20 pixels):
#   TIFF before the PDF: 2 pages
#   TIFF after the PDF: TypeError: function takes at most 4 arguments (18 given)
#   TIFF of copies after the PDF: 2 pages
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

from PIL import Image

pages = [Image.new("L", (20, 20), 200) for _ in range(2)]


def save(name, some):
    """Save pages and return how many there are, or the error."""
    try:
        some[0].save(name, save_all=True, append_images=some[1:])
        with Image.open(name) as saved:
            return f"{saved.n_frames} pages"
    except TypeError as error:
        return f"TypeError: {error}"


before = save("before.tif", pages)
pages[0].save("pages.pdf", save_all=True, append_images=pages[1:])
after = save("after.tif", pages)
copies = save("copies.tif", [page.copy() for page in pages])
print("TIFF before the PDF:", before)
print("TIFF after the PDF:", after)
print("TIFF of copies after the PDF:", copies)
sys.exit(0 if (before, after[:9], copies) == ("2 pages", "TypeError", "2 pages") else 1)
PY
