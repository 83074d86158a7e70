"""The device side: NumPy, OpenCV and one inference engine.

from lettercast.runtime import Reader
page = Reader().read(image)
"""

from .reader import Reader
from .text import Letter, Line, Page, Word

__all__ = ["Letter", "Line", "Page", "Reader", "Word"]
