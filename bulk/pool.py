"""A pool of processes that read pages, each with one thread; it outlives any of them.

A process that dies takes one page with it, the one that it was reading. That page is read again at the end, alone, so that a lack
of memory has no other cause; the third time that its process dies it becomes a page with an error. All other pages that the
process was given are read by others.
"""

import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Self, cast

from .. import LettercastError
from .worker import Failed, Message, Opened, Options, Read, Ready, Task, work

# Tasks that a process has at once, so that it never waits for the next one.
TASKS_AHEAD = 3
# After so many deaths of its process a page has an error, and after so many that could not even start, all ends.
MAX_DEATHS, MAX_FAILED_STARTS = 3, 3
# A page takes a second or two on a slow machine. What takes this long hangs.
MAX_PAGE_S = 600.0
POLL_S, JOIN_S = 1.0, 5.0
NUMPY_THREADS = "OPENBLAS_NUM_THREADS"


@dataclass(frozen=True)
class Lost:
    """A page that no process could read, and why."""

    task: Task
    reason: str


@dataclass
class Worker:
    """A process, the pipe to it, its tasks in their order, and since when it has the first of them."""

    process: SpawnProcess
    connection: "Connection[Task, Message]"
    tasks: deque[Task] = field(default_factory=deque[Task])
    since: float = 0.0
    is_ready: bool = False

    @property
    def is_late(self) -> bool:
        """Whether its task takes too long."""
        return bool(self.tasks) and time.monotonic() - self.since > MAX_PAGE_S

    def give(self, task: Task) -> None:
        """Give the process a task."""
        if not self.tasks:
            self.since = time.monotonic()
        self.tasks.append(task)
        # If it is dead, that shows where its messages are awaited.
        with suppress(OSError):
            self.connection.send(task)

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.join(JOIN_S)
        self.connection.close()


class Pool:
    """Processes that read the pages of tasks; use it in a `with`.

    Args:
        processes: how many.
        options: how pages are read.

    Raises:
        LettercastError: there is no such model, or the processes cannot start.
    """

    def __init__(self, processes: int, options: Options) -> None:
        self._options, self._context = options, multiprocessing.get_context("spawn")
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._deaths = Counter[Task]()
        # Given back by processes that died: to be read by others, or alone at the end.
        self._returned, self._suspects = deque[Task](), deque[Task]()
        self._workers = [self._start() for _ in range(processes)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._workers:
            worker.end()

    @property
    def process_ids(self) -> list[int]:
        """The identifiers of the processes."""
        return [worker.process.pid or 0 for worker in self._workers]

    def wait_until_ready(self) -> Ready:
        """Wait for the first process that can read, and return what it reads with; raises LettercastError if there is none."""
        while True:
            for _, message in self._messages():
                if isinstance(message, Ready):
                    return message

    def read(self, tasks: Iterator[Task | None]) -> Iterator[tuple[Task, Opened | Read] | Lost]:
        """Read the pages of tasks, in any order.

        Args:
            tasks: the next task, or None if there is none at this time.

        Yields:
            A task with its record, before which may come the number of the pages of its file; or a task that was lost.

        Raises:
            LettercastError: the processes cannot start.
        """
        while True:
            self._give(tasks)
            # A process that is ready and got nothing shows that nothing is left.
            if any(worker.is_ready for worker in self._workers) and not any(worker.tasks for worker in self._workers):
                return
            for worker, message in self._messages():
                if isinstance(message, Lost):
                    yield message
                elif isinstance(message, Opened):
                    yield worker.tasks[0], message
                elif isinstance(message, Read):
                    task = worker.tasks.popleft()
                    worker.since = time.monotonic()
                    yield task, message

    def _give(self, tasks: Iterator[Task | None]) -> None:
        """Give each process tasks; suspects only if nothing else is left to read, and only one at a time."""
        for ahead in range(1, TASKS_AHEAD + 1):
            for worker in self._workers:
                if worker.is_ready and len(worker.tasks) < ahead:
                    task = self._returned.popleft() if self._returned else next(tasks, None)
                    if task is None:
                        break
                    worker.give(task)
        ready = [worker for worker in self._workers if worker.is_ready]
        if self._suspects and ready and not any(worker.tasks for worker in self._workers):
            ready[0].give(self._suspects.popleft())

    def _messages(self) -> Iterator[tuple[Worker, Message | Lost]]:
        """Yield what the processes send within POLL_S, replace those that died or hang, and yield the pages lost with them."""
        heard = wait([worker.connection for worker in self._workers], POLL_S)
        for worker in [one for one in self._workers if one.connection in heard]:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                yield from ((worker, lost) for lost in self._replace(worker))
                continue
            if isinstance(message, Failed):
                raise LettercastError(message.reason)
            if isinstance(message, Ready):
                worker.is_ready, self._failed_starts = True, 0
            yield worker, message
        for worker in self._workers:
            if worker.is_late:
                # Its end shows at the next look.
                worker.process.kill()

    def _replace(self, worker: Worker) -> Sequence[Lost]:
        """Start a process in place of one that died, and return the page that was lost with it, if there is one."""
        worker.end()
        code = worker.process.exitcode
        died = f"signal {-code}" if code and code < 0 else f"exit code {code}"
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts == MAX_FAILED_STARTS:
                hint = "lack of memory? try fewer --processes; in a script, call it below `if __name__ == '__main__':`"
                raise LettercastError(f"the processes that read end as they start ({died}): {hint}")
        self._workers[self._workers.index(worker)] = self._start()
        if not worker.tasks:
            return ()
        culprit, *others = worker.tasks
        self._returned.extend(others)
        if worker.is_late:
            return [Lost(culprit, f"reading it takes longer than {MAX_PAGE_S / 60:.0f} minutes")]
        self._deaths[culprit] += 1
        if self._deaths[culprit] < MAX_DEATHS:
            self._suspects.append(culprit)
            return ()
        hint = "damaged, or larger than the memory"
        return [Lost(culprit, f"the process that reads it dies each time ({died}); the file may be {hint}")]

    def _start(self) -> Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._options), daemon=True)
        with holding_interrupts(), one_thread():
            process.start()
        # The pipe ends when the process does.
        theirs.close()
        return Worker(process, cast("Connection[Task, Message]", ours))


@contextmanager
def holding_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back: processes that are started inherit that, and the one that starts them hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # As it starts, it lets Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let processes that are started use one thread for the matrix products of NumPy, which reads this when it is imported."""
    before = os.environ.get(NUMPY_THREADS)
    os.environ[NUMPY_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[NUMPY_THREADS]
        else:
            os.environ[NUMPY_THREADS] = before
