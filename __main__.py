"""The `lettercast` command as a process: its streams, its interrupts, its end."""

# All else is imported where an interrupt is heeded; these two the interpreter has already.
import os
import sys

from . import DONE, INTERRUPTED

LAST_STREAM = 2


def run(module: str = "cli") -> None:
    """Run the command of a module and end the process; no interrupt, however early, leaves a traceback."""
    try:
        open_streams()
        code = command(module)
    except KeyboardInterrupt:
        # Before interrupts were seen to, or while one was answered.
        os.write(LAST_STREAM, b"lettercast: interrupted\n")
        code = INTERRUPTED
    end(code)


def open_streams() -> None:
    """Open the null device in place of standard streams that were closed, so that no other file takes their numbers."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdout = sys.stdout or os.fdopen(1, "w", errors="replace", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", errors="replace", closefd=False)


def command(module: str) -> int:
    """Return the exit code of the command that the process was started with."""
    from importlib import import_module

    from .commands.terminal import leave_at_once

    leave_at_once()
    try:
        return import_module(f".commands.{module}", __package__).main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else DONE


def end(code: int) -> None:
    """End the process at once where it was interrupted, with no wait for the threads of training."""
    import signal

    # Nothing is left to be put in order, and the interpreter's own end is not to be broken off with a traceback.
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    import threading

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # A full disk was told of where it was met; the interpreter would try again, and tell of that.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    # A thread that hangs in a camera's driver, and wakes while the interpreter is taken down, would abort the process.
    if code == INTERRUPTED or any(thread.daemon for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
