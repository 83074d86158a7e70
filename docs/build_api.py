"""Build the API page from the docstrings: python docs/build_api.py [FOLDER], by default site/."""

import sys
from importlib import import_module
from pathlib import Path

import pdoc

PACKAGES = ("lettercast.runtime", "lettercast.bulk", "lettercast.train", "lettercast.export", "lettercast.benchmarks")


def build(folder: Path) -> Path:
    """Write the pages to a folder; returns the first one."""
    for name in PACKAGES:
        package = import_module(name)
        # Names are imported when they are asked for, and pdoc looks only at those that are there.
        for public in package.__all__:
            getattr(package, public)
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc("lettercast", "!lettercast.commands", output_directory=folder)
    return folder / "lettercast.html"


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))
