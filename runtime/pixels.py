"""The type of pictures in annotations."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

# uint8 throughout; OpenCV's own annotations do not carry the dtype, so neither does this one.
Pixels: TypeAlias = NDArray[Any]
