"""The queue on the disk: identifiers, order, room, restarts, damage, and processes that are killed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from lettercast import LettercastError
from lettercast.runtime.publish import queue as queue_module
from lettercast.runtime.publish.queue import FILE_NAME, Queue, default_folder

A, B = "mqtt://a", "webhook b"
LIMIT_S = 120


def opened(folder, *receivers):
    return Queue(folder, receivers or (A,))


def taken(queue, receiver=A) -> list[dict]:
    """Return everything that waits for a receiver, and remove it."""
    found = []
    while message := queue.first(receiver):
        found.append(json.loads(message.body))
        queue.remove(receiver, message)
    return found


def test_messages_come_in_order_with_identifiers_that_never_come_again(tmp_path):
    queue = opened(tmp_path)
    for text in ("AB", "CD"):
        assert queue.add({"text": text})
    first = taken(queue)
    queue.close()
    queue = opened(tmp_path)
    queue.add({"text": "EF"})
    (third,) = taken(queue)
    assert [message["text"] for message in (*first, third)] == ["AB", "CD", "EF"]
    assert [message["id"] for message in (*first, third)] == [f"{queue.device}-{number}" for number in (1, 2, 3)]


def test_each_receiver_gets_every_message(tmp_path):
    queue = opened(tmp_path, A, B)
    queue.add({"text": "AB"})
    assert taken(queue, A) == taken(queue, B) != []
    assert queue.waiting(A) == queue.waiting(B) == (0, 0)


def test_what_waits_outlives_a_restart(tmp_path):
    queue = opened(tmp_path)
    queue.add({"text": "AB"})
    size = queue.waiting(A)
    queue.close()
    queue = opened(tmp_path)
    assert queue.waiting(A) == size == (1, len(queue.first(A).body))
    assert [message["text"] for message in taken(queue)] == ["AB"]


def test_the_same_words_after_a_restart_are_no_new_message(tmp_path):
    queue = opened(tmp_path)
    assert queue.add({"text": "AB"}, "0 AB") and not queue.add({"text": "AB"}, "0 AB")
    queue.close()
    queue = opened(tmp_path)
    assert not queue.add({"text": "AB"}, "0 AB")
    assert queue.add({"text": "CD"}, "0 CD") and queue.add({"text": "AB"}, "0 AB")
    # An image is always new.
    assert queue.add({"text": "AB"}) and queue.add({"text": "AB"})


def test_a_copy_of_the_disk_in_another_machine_has_identifiers_of_its_own(tmp_path, monkeypatch):
    queue = opened(tmp_path)
    queue.add({"text": "AB"})
    queue.close()
    monkeypatch.setattr(queue_module, "this_machine", lambda: "another")
    copy = opened(tmp_path)
    copy.add({"text": "CD"})
    first, second = taken(copy)
    assert first["id"] == f"{queue.device}-1" and second["id"] == f"{copy.device}-2"
    assert copy.device != queue.device


@pytest.mark.parametrize(("limit", "value"), [("MAX_MESSAGES", 3), ("MAX_BYTES", 100)])
def test_beyond_its_room_the_oldest_are_dropped_and_counted(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(queue_module, limit, value)
    queue = opened(tmp_path)
    for number in range(10):
        queue.add({"text": f"{number:04d}"})
    assert queue.dropped[A] == 10 - queue.waiting(A)[0] > 0
    assert queue.waiting(A)[1] <= 100 or limit == "MAX_MESSAGES"
    assert [message["text"] for message in taken(queue)] == [f"{number:04d}" for number in range(queue.dropped[A], 10)]


def test_the_file_does_not_grow_beyond_its_room(tmp_path, monkeypatch):
    monkeypatch.setattr(queue_module, "MAX_BYTES", 100_000)
    queue = opened(tmp_path)
    sizes = []
    for _ in range(3):
        for _ in range(60):
            queue.add({"text": "A" * 5000})
        sizes.append((tmp_path / FILE_NAME).stat().st_size)
    assert sizes[0] == sizes[2] or max(sizes) < 300_000


def test_a_message_that_was_dropped_on_its_way_may_still_be_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(queue_module, "MAX_MESSAGES", 1)
    queue = opened(tmp_path)
    queue.add({"text": "AB"})
    sent = queue.first(A)
    queue.add({"text": "CD"})
    queue.remove(A, sent)
    assert queue.waiting(A)[0] == 1
    queue.close()
    queue.remove(A, sent)
    assert queue.first(A) is None


def test_a_second_process_is_refused(tmp_path):
    queue = opened(tmp_path)
    with pytest.raises(LettercastError, match="another reader uses it; give this one a folder of its own with --queue"):
        opened(tmp_path)
    queue.close()
    opened(tmp_path).close()


def test_others_may_not_read_it(tmp_path):
    opened(tmp_path / "state").close()
    assert ((tmp_path / "state").stat().st_mode & 0o777, (tmp_path / "state" / FILE_NAME).stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


@pytest.mark.parametrize("damage", [b"no database at all" * 300, None])
def test_a_damaged_file_is_kept_aside_and_a_new_one_begins(tmp_path, capsys, damage):
    queue = opened(tmp_path)
    for _ in range(200):
        queue.add({"text": "AB" * 100})
    queue.close()
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[4096:20000] = b"\x55" * (20000 - 4096)
    path.write_bytes(damage or bytes(content))
    queue = opened(tmp_path)
    assert "kept as publish.sqlite3.damaged-1, and a new one begins" in capsys.readouterr().err
    assert queue.add({"text": "CD"}) and [message["text"] for message in taken(queue)] == ["CD"]


def test_a_full_disk_stores_nothing_and_is_an_error(tmp_path):
    queue = opened(tmp_path)
    queue.add({"text": "AB"})
    queue._file.execute("PRAGMA max_page_count = 10")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for _ in range(100):
            queue.add({"text": "A" * 4000})
    count = queue.waiting(A)[0]
    found = taken(queue)
    assert len(found) == count and [message["id"] for message in found] == [f"{queue.device}-{n + 1}" for n in range(count)]


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/lettercast:/var/lib/other"}, "/var/lib/lettercast"),
        ({"XDG_STATE_HOME": "/home/me/state"}, "/home/me/state/lettercast"),
    ],
)
def test_the_folder_is_that_of_the_service_or_the_user(variables, folder):
    assert str(default_folder(variables)) == folder
    assert default_folder({}).parts[-3:] == (".local", "state", "lettercast")


def test_a_process_that_is_killed_loses_nothing_that_it_said_was_stored(tmp_path):
    code = """
import sys
from pathlib import Path
from lettercast.runtime.publish.queue import Queue
queue = Queue(Path(sys.argv[1]), ("mqtt://a",))
number = int(sys.argv[2])
while True:
    queue.add({"text": str(number)})
    print(number, flush=True)
    number += 1
"""
    said = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, tmp_path, str(said + 1)], stdout=subprocess.PIPE, text=True
        ) as process:
            for _ in range(20):
                said = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            for line in process.stdout:
                said = int(line)
        # One more may have been stored before it was said.
        queue = opened(tmp_path)
        stored = [int(message["text"]) for message in taken(queue)]
        queue.close()
        assert stored[-1] - said in (0, 1) and stored == list(range(stored[0], stored[-1] + 1))
        said = stored[-1]


def test_who_publishes_nothing_loads_nothing_for_it(page_file):
    code = "import sys; from lettercast.commands.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    words = [sys.executable, "-c", code, "read", page_file, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not set(done.stdout.splitlines()[-1].split()) & {
        "sqlite3",
        "paho",
        "urllib.request",
        "lettercast.runtime.publish.queue",
    }
