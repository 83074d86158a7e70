"""Messages on stderr, and silencing engines and converters that print from Python and from C++."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any


def say(message: object) -> None:
    """Print a message on stderr, as one line."""
    print(f"lettercast: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Capture what this process prints, from C++ too; an exception gets the last 2000 characters as a note."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with tempfile.TemporaryFile() as captured, warnings.catch_warnings(), ExitStack() as redirected:
        warnings.simplefilter("ignore")
        if sys.stdout is not sys.__stdout__:
            # A notebook's streams do not write to the descriptors of the process.
            text = redirected.enter_context(os.fdopen(os.dup(captured.fileno()), "w", errors="replace"))
            redirected.enter_context(redirect_stdout(text))
            redirected.enter_context(redirect_stderr(text))
        os.dup2(captured.fileno(), 1)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except Exception as error:
            sys.stdout.flush()
            sys.stderr.flush()
            captured.seek(0)
            error.add_note(captured.read().decode(errors="replace")[-2000:])
            raise
        finally:
            logging.disable(level)
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, stream)
                os.close(copy)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, at most 200 characters, or its type if it has no message."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


@contextmanager
def progress(task: str, shown: bool = True) -> Iterator[Callable[[str], None]]:
    """Show what is being done, on stderr in a terminal or below the cell in Jupyter; yields a function that changes the text.

    Nothing is shown if `shown` is False, or if stderr is a file or a pipe.
    """
    if not shown:
        yield lambda text: None
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    if console.is_jupyter:
        # A spinner of rich would need ipywidgets here.
        from IPython.display import display  # pyright: ignore[reportMissingImports]

        handle: Any = display({"text/plain": task}, raw=True, display_id=True)
        yield lambda text: handle.update({"text/plain": text}, raw=True)
        return
    # A user's file names may hold what rich takes for markup.
    with console.status(escape(task)) as status:
        yield lambda text: status.update(escape(text))
