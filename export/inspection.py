"""What an exported file says of itself: its quantization, and the oldest runtime that opens it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Inspection:
    """What was read from a file.

    brightest is the pixel at which its quantized input ends, None where that is not quantized; has_coarse_depthwise tells
    whether depthwise weights of one scale are in it; lowest_runtime is a runtime and its oldest version that opens it.
    """

    brightest: float | None = None
    has_coarse_depthwise: bool = False
    lowest_runtime: str = ""
