"""Read archives of pages into Parquet files, and look at what is doubtful; needs `lettercast[bulk]`.

    from lettercast.bulk import read_archive, review

    archive = read_archive(["scans/", "forms.pdf"], "letters.parquet")
    print(archive.pages, archive.errors)
    review(archive.path, "review.html")

A script that calls `read_archive` needs `if __name__ == "__main__":` around it, because it starts processes.
"""

from typing import TYPE_CHECKING

from .. import lazily

if TYPE_CHECKING:
    from .archive import Archive, read_archive
    from .doubts import Doubt, find_doubts, review

# Each name is imported from its module when it is asked for.
HOMES = {
    "Archive": "archive",
    "Doubt": "doubts",
    "find_doubts": "doubts",
    "read_archive": "archive",
    "review": "doubts",
}
__all__ = ["read_archive", "Archive", "review", "find_doubts", "Doubt"]
__getattr__ = lazily(__name__, HOMES)
