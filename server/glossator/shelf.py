"""Explanations of open code, kept on disk between sessions: digests, the explanation, its author; nothing of private documents.

A cache and nothing more: where the file cannot be read or written, there is none, and nobody is bothered.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from glossator.tasks.task import Author, Explanation

VERSION = 1  # of the table; a file of another version is made anew
MOST = 2_000  # explanations, some megabytes
_SECONDS_FOR_A_LOCK = 1.0


class Shelf:
    """The explanations in one SQLite file (mode 0600), shared by all servers of a user; every call waits for the disk."""

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock  # seconds since the epoch
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def find(self, key: str) -> Explanation | None:
        """Return what was kept under this digest."""
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            found = (
                self._opened()
                .execute("SELECT markdown, name, model, local FROM explanations WHERE key = ?", (key,))
                .fetchone()
            )
            if found is not None:
                markdown, name, model, local = found
                return Explanation(markdown, Author(name, model, bool(local)), cached=True)
        return None

    def keep(self, key: str, explanation: Explanation) -> None:
        """Keep an explanation; the oldest give way."""
        author = explanation.author
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            connection = self._opened()
            with connection:
                connection.execute(
                    "INSERT OR REPLACE INTO explanations VALUES (?, ?, ?, ?, ?, ?)",
                    (key, explanation.markdown, author.name, author.model, author.local, self._clock()),
                )
                connection.execute(
                    "DELETE FROM explanations WHERE key IN (SELECT key FROM explanations ORDER BY kept DESC LIMIT -1 OFFSET ?)",
                    (MOST,),
                )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # its journals inherit the mode
        try:
            connection = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # locked, or a full disk: another time
            self._path.unlink()  # no database, or a broken one: a cache is made anew
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = self._open()
        self._connection = connection
        return connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_SECONDS_FOR_A_LOCK, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
                    connection.execute("DROP TABLE IF EXISTS explanations")
                    connection.execute(
                        "CREATE TABLE explanations (key TEXT PRIMARY KEY, markdown TEXT NOT NULL, name TEXT NOT NULL,"
                        " model TEXT, local INTEGER NOT NULL, kept REAL NOT NULL) WITHOUT ROWID"
                    )
                    connection.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection
