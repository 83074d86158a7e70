"""Importing what is heavy."""

import os

from ..interrupts import importing


def import_keras() -> None:
    """Import Keras and its backend without what they say of drivers and instruction sets."""
    from ..runtime.quiet import quiet

    # TensorFlow decides when it is first imported how much it talks.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with importing(), quiet():
        import keras  # noqa: F401
