"""Messages on stderr, and silencing engines and converters that print from Python and from C++."""

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from typing import Any, TextIO

# What Keras puts in front of the message of an error inside, and what terminals take for colours in it.
WRAPPED = re.compile(
    r"Exception (?:encountered|raised): |Exception encountered when calling [^\n]*\n|Example error message for object [^\n]*:\n"
)
ANSI_CODE = re.compile(r"\x1b\[[0-9;]*m")
# The user and password of a URL, of which the password may contain an unescaped @; and secrets among its query fields.
PASSWORD = re.compile(r"(?<=://)([^/?#:@]*):[^/?#]*@")
SECRET_FIELD = re.compile(r"([?&][^=&#]*(?:pass|pwd|token|key|secret|auth)[^=&#]*=)[^&#]+", re.IGNORECASE)
# Columns of a table that goes to a file, a pipe or a notebook: enough for every table.
UNLIMITED_COLUMNS = 160


def say(message: object) -> None:
    """Print a message on stderr, as one line."""
    print(f"lettercast: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


@cache
def say_once(message: str) -> None:
    """Print a message on stderr unless it was printed before: several splits of one folder are opened one after the other."""
    say(message)


def without_password(url: str) -> str:
    """Return a URL as it may be shown, stored and sent: a password in it becomes `***`."""
    return SECRET_FIELD.sub(r"\1***", PASSWORD.sub(r"\1:***@", url))


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


def table_width(stream: TextIO | None = None) -> int:
    """Return the columns that a table may take on a stream, by default stdout.

    They are those of COLUMNS if it is set, else those of the terminal, else enough for every table.
    """
    target: Any = stream or sys.stdout
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns):
        return int(columns)
    try:
        return (os.get_terminal_size(target.fileno()).columns if target.isatty() else 0) or UNLIMITED_COLUMNS
    except (OSError, ValueError):  # a stream without a file
        return UNLIMITED_COLUMNS


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 200 characters, or its type if it has no message.

    Of an error that Keras wraps into another one, it is the line of the inner one. Bytes that are no text are named as such.
    """
    if isinstance(error, UnicodeDecodeError):
        # Its message speaks of positions in bytes that nobody sees.
        return f"a name or value in it is not {error.encoding.upper()} text"
    text = ANSI_CODE.sub("", str(error))
    # An empty line separates Keras' own sentence from that of the error inside.
    inner = WRAPPED.split(text)[-1] if WRAPPED.search(text) else text
    lines = [line.strip() for line in inner.splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


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
