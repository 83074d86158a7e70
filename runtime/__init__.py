"""The device side: NumPy, OpenCV and one inference engine.

from lettercast.runtime import Reader
page = Reader().read(image)
"""

from .reader import Letter, Line, Page, Reader

__all__ = ["Letter", "Line", "Page", "Reader"]
