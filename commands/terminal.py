"""The terminal: tables that fit it, and Ctrl-C while heavy packages are imported."""

import argparse
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from .. import INTERRUPTED
from ..runtime.arguments import DEFAULT_NAME, device_model

if TYPE_CHECKING:
    from ..runtime.model.engine import Engine

STDERR = 2


def show(table: object, stream: TextIO | None = None) -> None:
    """Print a rich table on a stream, by default stdout."""
    from rich.console import Console

    from ..runtime.console import table_width

    Console(file=stream, width=table_width(stream), markup=False, highlight=False).print(table)


def leave(stream: int = STDERR) -> None:
    """End the process with the exit code of an interrupt, after one line on the stream with this number."""
    os.write(stream, b"lettercast: interrupted\n")
    os._exit(INTERRUPTED)


def leave_at_once(stream: int = STDERR) -> bool:
    """Let Ctrl-C end the process at once until `heed` is called; False if it is ignored, as in a background job of a shell."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        return False
    signal.signal(signal.SIGINT, lambda *_: leave(stream))
    return True


def heed() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def importing() -> Iterator[None]:
    """Let Ctrl-C end the process while heavy packages are imported, and raise KeyboardInterrupt afterwards.

    Compiled modules swallow the exception, or turn it into an ImportError that blames the installation.
    """
    # The streams may be redirected meanwhile to keep the packages quiet.
    stream = os.dup(STDERR)
    is_heeded = leave_at_once(stream)
    try:
        yield
    finally:
        if is_heeded:
            heed()
        os.close(stream)


def open_chosen(options: argparse.Namespace) -> "Engine | Path":
    """Return the model of `--model`, by default letters-base; opened if `--engine` names an engine, or `--hand` a hand."""
    model = device_model(DEFAULT_NAME) if options.model is None else options.model
    hand = getattr(options, "hand", None) if options.command != "hand" else None
    if not (options.engine or hand):
        return model
    from ..runtime.model.engine import open_engine
    from ..runtime.model.installed import ENGINE_NAMES

    engine = open_engine(model, options.threads, ENGINE_NAMES.get(options.engine))
    if not hand:
        return engine
    from ..runtime.hand.apply import with_hand

    return with_hand(engine, hand)


def import_keras() -> None:
    """Import Keras and its backend without their messages about drivers and instruction sets."""
    from ..runtime.console import quiet

    # TensorFlow reads this when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with importing(), quiet():
        import keras  # noqa: F401  # pyright: ignore[reportUnusedImport]
    # It warns of every further network that it compiles.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
