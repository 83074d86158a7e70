"""The texts that wait to be sent, in a file that outlives power cuts and killed processes.

SQLite does the work: a text and the number in its identifier are stored in one transaction, and flushed to the disk before `add`
returns. So no text is lost, and none gets two numbers. An identifier never comes again, and receivers can drop duplicates by it.
"""

import json
import os
import secrets
import socket
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ... import LettercastError
from ..console import say

FILE_NAME = "publish.sqlite3"
# Of each receiver: more than an hour with several texts a second.
MAX_MESSAGES, MAX_BYTES = 20_000, 16_000_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (number INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS order_of_receivers ON messages (receiver, number);
"""
DEVICE, MACHINE, NEXT, LAST = "device", "machine", "next", "last"
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True)
class Message:
    """A text that waits for a receiver: its place in the queue, and the JSON to send."""

    number: int
    body: str

    @property
    def id(self) -> str:
        """The identifier by which receivers drop duplicates."""
        return json.loads(self.body)["id"]


class Queue:
    """Messages in a folder, oldest first, for each receiver by its key; one process at a time may use it.

    Of each receiver it holds at most MAX_MESSAGES and MAX_BYTES; beyond that the oldest are dropped and counted. Raises
    LettercastError if the folder cannot be used, or another process uses it.
    """

    def __init__(self, folder: Path, receivers: Sequence[str]) -> None:
        self.path = folder / FILE_NAME
        self._lock, self._is_closed = threading.Lock(), False
        self._file = self._open(folder)
        self.device = self._name_device()
        self._sizes = {receiver: self._measure(receiver) for receiver in receivers}
        self.dropped = dict.fromkeys(receivers, 0)

    def _open(self, folder: Path) -> sqlite3.Connection:
        try:
            # Texts that were read are nobody else's business.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                return prepare(self.path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                aside = set_aside(self.path)
                say(f"{self.path}: {error}; it is kept as {aside.name}, and a new one begins")
                return prepare(self.path)
        except sqlite3.OperationalError as error:
            is_locked = "locked" in str(error)
            reason = "another reader uses it" if is_locked else str(error)
            raise LettercastError(f"{self.path}: {reason}; give this one a folder of its own with --queue") from error
        except OSError as error:
            raise LettercastError(
                f"{folder}: {error.strerror or error}; give a folder that you may write to with --queue"
            ) from error

    def _name_device(self) -> str:
        """Return the identifier of this device: a new one if the file came from another machine, such as a copied SD card."""
        machine = this_machine()
        with self._file:
            if self._fact(MACHINE) != machine:
                self._set_fact(MACHINE, machine)
                self._set_fact(DEVICE, secrets.token_hex(4))
        return self._fact(DEVICE) or ""

    def add(self, content: Mapping[str, Any], unless_last: str | None = None) -> bool:
        """Store what to send to every receiver, with a new identifier.

        Args:
            content: what becomes the JSON object, without its "id".
            unless_last: stores nothing, and returns False, if the message before was added with the same words here; this holds
                across restarts.

        Raises sqlite3.Error if the disk is full or broken; nothing is stored then.
        """
        with self._lock:
            sizes, dropped = dict(self._sizes), dict(self.dropped)
            try:
                with self._file:
                    return self._add(content, unless_last)
            except BaseException:
                # On a full disk, or by a signal, the transaction was undone.
                self._sizes, self.dropped = sizes, dropped
                raise

    def _add(self, content: Mapping[str, Any], unless_last: str | None) -> bool:
        if unless_last is not None and self._fact(LAST) == unless_last:
            return False
        number = int(self._fact(NEXT) or 1)
        body = json.dumps({"id": f"{self.device}-{number}", **content})
        self._set_fact(NEXT, str(number + 1))
        self._set_fact(LAST, unless_last or "")
        rows = [(receiver, body) for receiver in self._sizes]
        self._file.executemany("INSERT INTO messages (receiver, body) VALUES (?, ?)", rows)
        for receiver, (count, size) in self._sizes.items():
            self._sizes[receiver] = (count + 1, size + len(body))
            self._make_room(receiver)
        return True

    def first(self, receiver: str) -> Message | None:
        """Return the oldest message for a receiver."""
        with self._lock:
            if self._is_closed:
                return None
            found = self._file.execute(
                "SELECT number, body FROM messages WHERE receiver = ? ORDER BY number LIMIT 1", (receiver,)
            ).fetchone()
        return Message(*found) if found else None

    def remove(self, receiver: str, message: Message) -> None:
        """Forget a message that arrived."""
        with self._lock:
            # A message that was on its way when the reader ended is sent once more at the next start, with the same identifier.
            if not self._is_closed:
                with self._file:
                    self._delete(receiver, message.number, len(message.body))

    def waiting(self, receiver: str) -> tuple[int, int]:
        """Return how many messages wait for a receiver, and their bytes."""
        return self._sizes[receiver]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._is_closed = True
            self._file.close()

    def _make_room(self, receiver: str) -> None:
        while self._sizes[receiver][0] > MAX_MESSAGES or self._sizes[receiver][1] > MAX_BYTES:
            number, size = self._file.execute(
                "SELECT number, length(body) FROM messages WHERE receiver = ? ORDER BY number LIMIT 1", (receiver,)
            ).fetchone()
            self._delete(receiver, number, size)
            self.dropped[receiver] += 1

    def _delete(self, receiver: str, number: int, size: int) -> None:
        count, total = self._sizes[receiver]
        # It may have been dropped to make room while it was on its way.
        if self._file.execute("DELETE FROM messages WHERE number = ?", (number,)).rowcount:
            self._sizes[receiver] = (count - 1, total - size)

    def _measure(self, receiver: str) -> tuple[int, int]:
        return self._file.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM messages WHERE receiver = ?", (receiver,)
        ).fetchone()

    def _fact(self, name: str) -> str | None:
        found = self._file.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def _set_fact(self, name: str, value: str) -> None:
        self._file.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the queue lies by default: what systemd gives a service with StateDirectory, else the user's own folder."""
    if service := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(service)
    return Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lettercast"


def this_machine() -> str:
    """Return what tells this machine from one with a copy of its disk: the name, because some copies share the identifier."""
    identifier = MACHINE_ID.read_bytes() if MACHINE_ID.is_file() else b""
    return sha256(identifier + socket.gethostname().encode()).hexdigest()[:16]


def prepare(path: Path) -> sqlite3.Connection:
    """Open the file and lock it for this process; raises sqlite3.DatabaseError if it is damaged."""
    opened = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
    try:
        path.chmod(0o600)
        # Held until the process ends, also by kill -9.
        opened.execute("PRAGMA locking_mode = EXCLUSIVE")
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA synchronous = FULL")
        with closing(opened.execute("PRAGMA quick_check")) as check:
            if (found := check.fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(str(found).partition("\n")[0])
        opened.executescript(SCHEMA)
    except BaseException:
        opened.close()
        raise
    return opened


def set_aside(path: Path) -> Path:
    """Rename a damaged file, and return its new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    # They belong to the damaged file.
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
