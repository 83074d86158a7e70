"""What an exported file says of its own quantization."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantized:
    """What a file says of its quantization: the pixel at which its input ends, None where that is not quantized, and whether
    depthwise weights of one scale are in it.
    """

    brightest: float | None = None
    has_coarse_depthwise: bool = False
