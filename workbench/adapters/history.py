"""The revisions of every application, in one SQLite file of the state folder."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from workbench.core.revision import DELETED, FAILED, PENDING, SERVED, DeploymentRecord, Revision
from workbench.errors import AdvisedError, PlanError

from . import state

FILE = "history.sqlite"
T = TypeVar("T")
VERSION = 1  # of the schema
KEY_BYTES = 32
WAIT_S = 30.0  # for another kernel's write
SCHEMA = """
CREATE TABLE revisions (
    app TEXT NOT NULL,
    number INTEGER NOT NULL,
    route_prefix TEXT NOT NULL,
    created_s REAL NOT NULL,
    note TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    kernel TEXT NOT NULL,
    took_ms REAL,
    deployments TEXT NOT NULL DEFAULT '[]',
    digest TEXT NOT NULL DEFAULT '',
    graph BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (app, number)
)
"""
COLUMNS = (
    "app, number, route_prefix, created_s, note, outcome, reason, kernel, took_ms, deployments"
)
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
UNREADABLE = ("Could not decode to UTF-8", "unsupported file format")  # they come without a code

Identity = tuple[int, int] | None
_open: dict[tuple[int, Path], tuple[Identity, sqlite3.Connection]] = {}  # by process and file
_lock = threading.RLock()


class _Damaged(sqlite3.DatabaseError):
    """The file opens, but it is not a history that this version can read."""


class History:
    """Reads and writes revisions. Any thread and any kernel may call.

    A file that is damaged, or of another version, is set aside with a warning that names it, and
    a fresh one is begun: a history that cannot be read must not stop a service.

    Args:
        path: the database; its key and its lock lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._begun: dict[tuple[str, int], dict[str, Any]] = {}
        self._do(lambda db: None)

    def begin(self, app: str, route_prefix: str, note: str, kernel: str, after: int = 0) -> int:
        """Note that a deploy begins.

        Args:
            app: application name.
            route_prefix: path of its ingress.
            note: the user's note.
            kernel: who deploys, such as "pid 4711, 05_rag.ipynb".
            after: a number that is taken already, as when the file of that revision was lost.

        Returns:
            The new revision's number, above every other of the application.
        """
        facts: dict[str, Any] = {"app": app, "route_prefix": route_prefix, "note": note}
        facts |= {"kernel": kernel, "created_s": time.time(), "outcome": PENDING}

        def work(db: sqlite3.Connection) -> int:
            with _writing(db):
                query = "SELECT MAX(number) FROM revisions WHERE app = ?"
                number = max(db.execute(query, (app,)).fetchone()[0] or 0, after) + 1
                _insert(db, {**facts, "number": number})
            return number

        number = self._do(work)
        self._begun[app, number] = {**facts, "number": number}
        return number

    def served(
        self,
        app: str,
        number: int,
        graph: bytes,
        took_ms: float,
        deployments: Sequence[DeploymentRecord],
    ) -> None:
        """Note that a revision serves, with what is needed to run it again.

        Args:
            app: application name.
            number: what `begin` returned.
            graph: the pickled graph; it is signed, since reading it back runs its code.
            took_ms: how long the deploy took.
            deployments: what became of each deployment, callees before callers.
        """
        digest = self._digest(app, number, graph) if graph else ""
        facts = {"took_ms": took_ms, "graph": graph, "digest": digest, "reason": ""}
        self._finish(app, number, SERVED, deployments, facts)

    def failed(
        self,
        app: str,
        number: int,
        reason: str,
        outcome: str = FAILED,
        deployments: Sequence[DeploymentRecord] = (),
    ) -> None:
        """Note that a revision does not serve, and why; `outcome` is failed or interrupted."""
        self._finish(app, number, outcome, deployments, {"reason": reason})

    def deleted(self, app: str) -> None:
        """Note that an application was deleted: none of its revisions serves any more."""
        statement = "UPDATE revisions SET outcome = ? WHERE app = ? AND outcome = ?"
        self._do(lambda db: db.execute(statement, (DELETED, app, SERVED)).rowcount)

    def serving(self, app: str) -> Revision | None:
        """The newest revision that served and was not deleted."""
        found = self._read("app = ? AND outcome = ? ORDER BY number DESC LIMIT 1", app, SERVED)
        return found[0] if found else None

    def apps(self) -> tuple[str, ...]:
        """Names of the applications that served last and were not deleted."""
        query = "SELECT DISTINCT app FROM revisions WHERE outcome = ? ORDER BY app"
        return tuple(
            str(row[0]) for row in self._do(lambda db: db.execute(query, (SERVED,)).fetchall())
        )

    def revisions(self, app: str) -> tuple[Revision, ...]:
        """Every revision of an application, oldest first."""
        return self._read("app = ? ORDER BY number", app)

    def stamp(self) -> object:
        """Something that differs once any kernel has written; costs next to nothing."""
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return tuple(each.stat().st_mtime_ns for each in files if each.exists())

    def revision(self, app: str, number: int) -> Revision | None:
        """One revision, or None when there is no such number."""
        found = self._read("app = ? AND number = ?", app, number)
        return found[0] if found else None

    def graph(self, app: str, number: int) -> bytes:
        """The pickled graph of a revision; b"" when it never served.

        Raises:
            PlanError: the bytes are not those that were stored with this folder's key.
        """
        query = "SELECT graph, digest FROM revisions WHERE app = ? AND number = ?"
        row = self._do(lambda db: db.execute(query, (app, number)).fetchone())
        graph, digest = (bytes(row[0]), str(row[1])) if row else (b"", "")
        if graph and not hmac.compare_digest(digest, self._digest(app, number, graph)):
            raise PlanError(
                f"the code of revision {number} of {app!r} in {self._path} is not what was stored "
                f"there with {self._key_path.name}, so it is not run",
                "deploy the class from a cell; the history still has its source",
            )
        return graph

    def _read(self, condition: str, *values: Any) -> tuple[Revision, ...]:
        query = f"SELECT {COLUMNS} FROM revisions WHERE {condition}"
        return self._do(lambda db: tuple(_revision(row) for row in db.execute(query, values)))

    def _finish(
        self,
        app: str,
        number: int,
        outcome: str,
        deployments: Sequence[DeploymentRecord],
        facts: dict[str, Any],
    ) -> None:
        records = json.dumps([asdict(each) for each in deployments], default=repr)
        facts = {**facts, "outcome": outcome, "deployments": records}
        begun = self._begun.get((app, number)) or _unknown(app, number)

        def work(db: sqlite3.Connection) -> None:
            names = ", ".join(f"{name} = ?" for name in facts)
            statement = f"UPDATE revisions SET {names} WHERE app = ? AND number = ?"
            with _writing(db):
                if not db.execute(statement, (*facts.values(), app, number)).rowcount:
                    _insert(db, {**begun, **facts})  # its file was set aside meanwhile

        self._do(work)
        self._begun.pop((app, number), None)

    def _digest(self, app: str, number: int, graph: bytes) -> str:
        signed = hmac.new(self._key(), f"{app}\n{number}\n".encode(), hashlib.sha256)
        signed.update(graph)
        return signed.hexdigest()

    def _key(self) -> bytes:
        key = _content(self._key_path)
        if len(key) == KEY_BYTES:
            return key
        with self._guard():
            key = _content(self._key_path)
            if len(key) != KEY_BYTES:
                key = secrets.token_bytes(KEY_BYTES)
                _write_private(self._key_path, key)
        return key

    @property
    def _key_path(self) -> Path:
        return self._path.with_suffix(".key")

    def _guard(self) -> FileLock:
        """Keeps other kernels out while files are made or renamed."""
        return FileLock(self._path.with_name(f"{self._path.name}.lock"), timeout=WAIT_S, mode=0o600)

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run some statements; once more on a fresh file when this one is damaged."""
        identity = _identity(self._path)
        with self._advising():
            try:
                return self._attempt(work)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise
                self._set_aside(identity, str(error))
            return self._attempt(work)

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with _lock:
            return work(self._connection())

    @contextmanager
    def _advising(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            problem = f"the history {self._path} cannot be used: {error}"
            advice = "free its disk, mend its permissions, or set WORKBENCH_HOME elsewhere"
            raise AdvisedError(problem, advice) from error

    def _connection(self) -> sqlite3.Connection:
        """This process's connection; a new one when the file is another than before."""
        key = os.getpid(), self._path
        identity, db = _open.get(key, (None, None))
        if db is not None and identity is not None and identity == _identity(self._path):
            if db.in_transaction:
                db.rollback()  # a cell was interrupted between two statements
            return db
        _close(key)
        with self._guard():
            db = _connected(self._path)
        _open[key] = _identity(self._path), db
        return db

    def _set_aside(self, damaged: Identity, problem: str) -> None:
        """Rename the file unless another kernel has done so, and say where it is now."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        with _lock, self._guard():
            if damaged is None or _identity(self._path) != damaged:
                return
            for suffix in ("", "-wal", "-shm"):  # the log of one file must not meet another
                part = self._path.with_name(self._path.name + suffix)
                if part.exists():
                    part.rename(f"{aside}{suffix}")
            _close((os.getpid(), self._path))  # after renaming: SQLite leaves a moved file alone
        warnings.warn(
            f"the history {self._path} cannot be read ({problem}); it was kept as {aside} and "
            "a new one was begun; what runs goes on",
            stacklevel=5,
        )


def _connected(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    path.chmod(0o600)  # its log and index take its mode
    db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Make the table in an empty file; refuse a file that holds anything else than ours.

    A write then costs no wait for the disk; the last ones may be lost with the power, no others.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    columns = {row[1] for row in db.execute("PRAGMA table_info(revisions)")}
    if version != VERSION and (version or columns):
        raise _Damaged(f"it has version {version}, this package writes {VERSION}")
    if version == VERSION and not {*COLUMNS.split(", "), "digest", "graph"} <= columns:
        raise _Damaged("its table is not complete")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    if not version:
        with _writing(db):
            db.execute(SCHEMA)
            db.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _writing(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.commit()
    except BaseException:
        db.rollback()
        raise


def _insert(db: sqlite3.Connection, facts: dict[str, Any]) -> None:
    marks = ", ".join("?" for _ in facts)
    statement = f"INSERT INTO revisions ({', '.join(facts)}) VALUES ({marks})"
    db.execute(statement, tuple(facts.values()))


def _unknown(app: str, number: int) -> dict[str, Any]:
    """What to store for a revision that another kernel began in a file that is lost."""
    facts = {"app": app, "number": number, "route_prefix": f"/{app}", "created_s": time.time()}
    return facts | {"note": "", "kernel": ""}


def _revision(row: tuple[Any, ...]) -> Revision:
    try:
        records = tuple(DeploymentRecord(**each) for each in json.loads(row[-1]))
    except (TypeError, ValueError) as error:
        raise _Damaged(f"a row of it cannot be read: {error}") from error
    return Revision(*(*row[:-1], records))


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None) or 0
    return isinstance(error, _Damaged) or code & 0xFF in DAMAGE or str(error).startswith(UNREADABLE)


def _identity(path: Path) -> Identity:
    """Which file a path leads to; None when there is none or it is empty."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


def _close(key: tuple[int, Path]) -> None:
    _, db = _open.pop(key, (None, None))
    if db is not None:
        db.close()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    os.replace(temporary, path)


def here() -> History:
    """The revisions of the state folder."""
    return History(state.folder() / FILE)
