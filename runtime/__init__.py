"""The device side: NumPy, OpenCV and one inference engine.

from lettercast.runtime import Reader
page = Reader().read(image)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reader import Reader
    from .text import Letter, Line, Page, Word

__all__ = ["Letter", "Line", "Page", "Reader", "Word"]


def __getattr__(name: str) -> Any:
    """Import what is offered here when it is asked for: what a device lacks can be told without NumPy and OpenCV."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'reader' if name == 'Reader' else 'text'}"), name)
