"""Processes that die: their pages are read again, each once, and a page that kills each of them has an error."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace

import pytest
from bulk.conftest import rows

from lettercast import LettercastError
from lettercast.bulk import read_archive
from lettercast.bulk.archive import Queue, _read
from lettercast.bulk.dataset import open_dataset
from lettercast.bulk.pool import Lost, Pool, holding_interrupts
from lettercast.bulk.worker import Opened, Options, Task

PAGES = 12


@pytest.fixture(scope="module")
def many(scans, tmp_path_factory) -> Path:
    """A folder with one page under many names, and a TIFF of several."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(PAGES):
        (folder / f"{number}.png").symlink_to(scans / "page10.png")
    (folder / "forms.tif").symlink_to(scans / "forms.tif")
    return folder


def test_pages_of_killed_processes_are_read_by_others(many, tmp_path):
    killed: list[int] = []

    def kill(progress) -> None:
        if progress.pages in (2, 6, 9):
            killed.append(active_children()[0].pid)
            os.kill(killed[-1], signal.SIGKILL)

    done = read_archive(many, tmp_path / "out", model="letters-nano", processes=2, on_progress=kill)
    assert len(set(killed)) == 3
    assert (done.pages, done.errors) == (PAGES + 3, 0)
    found = [(Path(row["path"]).name, row["page"], row["text"]) for row in rows(tmp_path / "out")]
    expected = [(f"{number}.png", 1, "ABC") for number in range(PAGES)]
    assert found == sorted([*expected, *(("forms.tif", i, text) for i, text in enumerate(("ABC", "DEF", "GHI"), 1))])
    assert len(rows(tmp_path / "out", "letters")) == 3 * (PAGES + 3)
    assert not active_children()


def test_an_interrupted_run_leaves_what_was_read(many, tmp_path, lettercast, monkeypatch):
    def interrupt(progress) -> None:
        if progress.pages == 4:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("lettercast.commands.archive.Lines", lambda: interrupt)
    code, out, err = lettercast("read", many, "--out", "out", "--model", "letters-nano", "--processes", 1)
    assert (code, out) == (130, "")
    assert err == "lettercast: interrupted: what was read is in out, and the same command goes on\n"
    assert (len(rows(tmp_path / "out")), active_children()) == (4, [])


class Deadly(Task):
    """A task that ends the process that receives it, as a page does whose decoder breaks."""

    def __reduce__(self) -> tuple:
        return os._exit, (9,)


def test_a_page_that_kills_each_process_is_lost_alone(many, scans):
    tasks = [Task(str(many / "1.png")), Deadly(str(many / "2.png")), *(Task(str(many / f"{i}.png")) for i in range(3, 8))]
    tasks.append(Task(str(scans / "forms.tif")))
    with Pool(2, Options("letters-nano")) as pool:
        events = list(pool.read(iter(tasks)))
    lost = [event for event in events if isinstance(event, Lost)]
    assert [event.task for event in lost] == [tasks[1]]
    assert "dies each time (exit code 9)" in lost[0].reason
    read = [event[0] for event in events if not isinstance(event, Lost) and not isinstance(event[1], Opened)]
    assert sorted(read, key=lambda task: task.path) == sorted([tasks[0], *tasks[2:]], key=lambda task: task.path)


def test_a_page_that_hangs_is_lost_alone(many, monkeypatch):
    monkeypatch.setattr("lettercast.bulk.pool.MAX_PAGE_S", 0.0)
    monkeypatch.setattr("lettercast.bulk.pool.POLL_S", 0.0)
    task = Task(str(many / "1.png"))
    with Pool(1, Options("letters-nano")) as pool:
        pool.wait_until_ready()
        assert list(pool.read(iter([task]))) == [Lost(task, "reading it takes longer than 0 minutes")]


def test_the_other_pages_of_a_file_with_a_page_that_hangs_are_kept(scans, tmp_path):
    path = str(scans / "forms.tif")
    first = Task(path)
    with Pool(1, Options("letters-nano")) as pool:
        pool.wait_until_ready()
        opened, *read = [
            event for number in (1, 2, 3) for event in pool.read(iter([Task(path, number, 3 if number > 1 else None)]))
        ]
    # What the pool yields if the first page hangs once the file is open: its record never comes.
    events = [opened, Lost(first, "it hangs"), *read[1:]]
    scripted = SimpleNamespace(read=lambda _: iter(events))
    with open_dataset(tmp_path / "out", {}, {}) as dataset:
        assert [progress.errors for progress in _read(scripted, Queue([path], dataset.done), dataset, "e")] == [1, 1, 1]
    assert [(row["page"], row["pages"], row["error"]) for row in rows(tmp_path / "out")] == [
        (1, 3, "it hangs"),
        (2, 3, None),
        (3, 3, None),
    ]


def test_processes_that_cannot_start_end_the_run(monkeypatch, many):
    class Broken(Options):
        def __reduce__(self) -> tuple:
            return os._exit, (3,)

    with Pool(1, Broken("letters-nano")) as pool, pytest.raises(LettercastError, match=r"end as they start \(exit code 3\)"):
        pool.wait_until_ready()
    assert not active_children()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="the system cannot hold signals back")
def test_an_interrupt_is_heard_after_processes_have_started():
    started = False
    with pytest.raises(KeyboardInterrupt), holding_interrupts():
        signal.raise_signal(signal.SIGINT)
        started = True
    assert started
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
