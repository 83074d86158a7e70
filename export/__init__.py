"""Convert Keras models to TFLite and ONNX files that are proven equal to them; needs `lettercast[export]`.

Example:
from lettercast.export import export

exports = export("my.keras", calibrate="my_letters/", check="my_letters/", formats="tflite-int8", out="dist")
print(exports.passed, exports.artifacts[0].parity.agreement)
"""

from typing import TYPE_CHECKING

from .. import lazily

if TYPE_CHECKING:
    from .artifact import Artifact, Exports
    from .bundle import Bundle, write_bundle
    from .exporter import export
    from .formats import FORMATS, Format
    from .gate import Parity, Tolerance

# Each name is imported from its module when it is asked for.
HOMES = {
    "Artifact": "artifact",
    "Bundle": "bundle",
    "Exports": "artifact",
    "FORMATS": "formats",
    "Format": "formats",
    "Parity": "gate",
    "Tolerance": "gate",
    "export": "exporter",
    "write_bundle": "bundle",
}
__all__ = ["export", "Exports", "Artifact", "Parity", "Tolerance", "FORMATS", "Format", "write_bundle", "Bundle"]
__getattr__ = lazily(__name__, HOMES)
