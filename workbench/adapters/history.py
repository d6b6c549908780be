"""The revisions of every application, in one SQLite file of the state folder."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PENDING, SERVED, FAILED, DELETED = "pending", "served", "failed", "deleted"
SCHEMA = """
CREATE TABLE IF NOT EXISTS revisions (
    app TEXT NOT NULL,
    number INTEGER NOT NULL,
    route_prefix TEXT NOT NULL,
    created_s REAL NOT NULL,
    note TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    kernel TEXT NOT NULL,
    took_s REAL,
    application BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (app, number)
)
"""


@dataclass(frozen=True)
class Revision:
    """One revision of an application.

    Attributes:
        app: application name.
        number: 1 for the first one, then counting up.
        route_prefix: path of its ingress.
        created_s: seconds since the epoch when its deploy began.
        note: the user's note.
        outcome: pending, served, failed or deleted.
        reason: why it failed, or "".
        application: the pickled Serve application, to run it again.
    """

    app: str
    number: int
    route_prefix: str
    created_s: float
    note: str
    outcome: str
    reason: str
    application: bytes


class History:
    """Reads and writes revisions. Every call opens the file, so any thread or kernel may call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as db:
            db.execute(SCHEMA)
        path.chmod(0o600)

    def begin(self, app: str, route_prefix: str, note: str) -> int:
        """Note that a deploy begins; returns the new revision's number."""
        with self._open() as db:
            row = db.execute("SELECT MAX(number) FROM revisions WHERE app = ?", (app,)).fetchone()
            number = (row[0] or 0) + 1
            db.execute(
                "INSERT INTO revisions"
                " (app, number, route_prefix, created_s, note, outcome, kernel)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (app, number, route_prefix, time.time(), note, PENDING, str(os.getpid())),
            )
        return int(number)

    def served(self, app: str, number: int, application: bytes, took_s: float) -> None:
        """Note that a revision became healthy, with what is needed to run it again."""
        with self._open() as db:
            db.execute(
                "UPDATE revisions SET outcome = ?, application = ?, took_s = ?"
                " WHERE app = ? AND number = ?",
                (SERVED, application, took_s, app, number),
            )

    def failed(self, app: str, number: int, reason: str) -> None:
        """Note that a revision did not become healthy."""
        with self._open() as db:
            db.execute(
                "UPDATE revisions SET outcome = ?, reason = ? WHERE app = ? AND number = ?",
                (FAILED, reason, app, number),
            )

    def deleted(self, app: str) -> None:
        """Note that an application was deleted: none of its revisions serves any more."""
        with self._open() as db:
            db.execute(
                "UPDATE revisions SET outcome = ? WHERE app = ? AND outcome = ?",
                (DELETED, app, SERVED),
            )

    def serving(self, app: str) -> Revision | None:
        """The newest revision that became healthy and was not deleted."""
        with self._open() as db:
            row = db.execute(
                "SELECT app, number, route_prefix, created_s, note, outcome, reason, application"
                " FROM revisions WHERE app = ? AND outcome = ? ORDER BY number DESC LIMIT 1",
                (app, SERVED),
            ).fetchone()
        return Revision(*row) if row else None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=30.0)
        try:
            with db:
                yield db
        finally:
            db.close()
