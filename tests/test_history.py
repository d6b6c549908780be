"""The revisions as values, and the file that keeps them."""

from __future__ import annotations

import pickle
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.adapters.history import History
from workbench.core.cluster import ClusterFacts
from workbench.core.revision import DeploymentRecord, Revision, Revisions, diff_of
from workbench.errors import AdvisedError, PlanError
from workbench.runtime.app import App
from workbench.runtime.cluster import Cluster
from workbench.ui import tables

SOURCE = "class RAG:\n    def chat(self):\n        return 'hello'\n"


def record(name: str = "RAG", action: str = "swap", **changes: Any) -> DeploymentRecord:
    """A deployment with one line of everything."""
    facts = {"code": "c0", "state": "s0", "actor": "a0", "light": "l0"}
    made = {"source": SOURCE, "fingerprint": facts, "options": {"num_replicas": 2}} | changes
    return DeploymentRecord(name, action=action, reason="`chat` changed", took_ms=12.5, **made)


def revision(number: int, *records: DeploymentRecord, **changes: Any) -> Revision:
    """A revision that served."""
    facts = {"note": "", "outcome": "served", "reason": "", "kernel": "pid 4711, a.ipynb"} | changes
    return Revision("rag", number, "/rag", 0.0, took_ms=31.0, deployments=records, **facts)


def serve(history: History, graph: bytes = b"graph", app: str = "rag") -> int:
    """Store a revision that served."""
    number = history.begin(app, f"/{app}", "a note", "pid 1")
    history.served(app, number, graph, 31.0, [record()])
    return number


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a history may be made."""
    return tmp_path / "history.sqlite"


def test_the_newest_that_served_is_the_one_that_serves(path: Path) -> None:
    """A revision that failed, and one that is under way, take nothing from the one that serves."""
    history = History(path)
    serve(history)
    history.failed("rag", history.begin("rag", "/rag", "", "pid 1"), "boom")
    history.begin("rag", "/rag", "", "pid 1")

    found = history.serving("rag")

    assert found is not None
    assert found.number == 1


def test_a_revision_is_read_as_it_was_written(path: Path) -> None:
    """Source, fingerprints, options, note, who, how and how long come back unchanged."""
    history = History(path)
    number = history.begin("rag", "/rag", "shorter prompt", "pid 7, a.ipynb")
    history.served("rag", number, b"graph", 31.5, [record("LLM", "keep"), record()])

    found = history.revision("rag", number)

    assert found is not None
    assert (found.app, found.number, found.route_prefix) == ("rag", 1, "/rag")
    assert (found.note, found.kernel, found.took_ms) == ("shorter prompt", "pid 7, a.ipynb", 31.5)
    assert (found.outcome, found.reason) == ("served", "")
    assert found.deployments == (record("LLM", "keep"), record())


def test_a_failure_keeps_its_reason_and_what_was_tried(path: Path) -> None:
    """An interrupt is told from a failure, and both say why."""
    history = History(path)
    for outcome in ("failed", "interrupted"):
        number = history.begin("rag", "/rag", "", "pid 1")
        history.failed("rag", number, f"why {outcome}", outcome, [record()])

    assert [(r.outcome, r.reason, r.actions) for r in history.revisions("rag")] == [
        ("failed", "why failed", "RAG swap"),
        ("interrupted", "why interrupted", "RAG swap"),
    ]


def test_a_deleted_application_serves_nothing_and_its_numbers_go_on(path: Path) -> None:
    """A number never names two revisions, also when the application was deleted between them."""
    history = History(path)
    serve(history)
    serve(history, app="other")

    history.deleted("rag")

    assert history.serving("rag") is None
    assert history.serving("other") is not None
    assert [r.outcome for r in history.revisions("rag")] == ["deleted"]
    assert serve(history) == 2


def test_numbers_begin_above_what_the_replicas_know(path: Path) -> None:
    """When the file was lost the cluster still knows its last number."""
    history = History(path)

    assert history.begin("rag", "/rag", "", "pid 1", after=41) == 42
    assert history.begin("rag", "/rag", "", "pid 1", after=7) == 43


def test_nothing_is_known_of_what_never_was(path: Path) -> None:
    """Questions about an unknown application or number are answered, not refused."""
    history = History(path)

    assert history.revisions("rag") == ()
    assert history.serving("rag") is history.revision("rag", 1) is None
    assert history.graph("rag", 1) == b""


def test_the_graph_comes_back_from_another_instance(path: Path) -> None:
    """A kernel that was restarted can roll back."""
    number = serve(History(path), b"pickled")

    assert History(path).graph("rag", number) == b"pickled"


@pytest.mark.parametrize(
    "forge",
    [
        lambda db, key: db.execute("UPDATE revisions SET graph = x'00'"),
        lambda db, key: db.execute("UPDATE revisions SET digest = ''"),
        lambda db, key: db.execute("UPDATE revisions SET number = 9 WHERE number = 1"),
        lambda db, key: key.unlink(),
        lambda db, key: key.write_bytes(b"short"),
    ],
    ids=["graph", "digest", "another row", "key lost", "key cut off"],
)
def test_code_that_was_not_stored_here_is_never_run(
    path: Path, forge: Callable[[sqlite3.Connection, Path], Any]
) -> None:
    """A pickle is a program: without this folder's signature over that very row it is refused."""
    history = History(path)
    serve(history)
    with sqlite3.connect(path) as db:
        forge(db, path.with_name("history.key"))
    db.close()

    number = history.revisions("rag")[0].number
    with pytest.raises(PlanError, match=f"revision {number} of 'rag'.*not run\nhelp: deploy"):
        history.graph("rag", number)


def test_all_files_are_private(path: Path) -> None:
    """They lead to code execution, and hold source: no other user may read or write them."""
    path.touch(0o644)

    serve(History(path))

    files = sorted(path.parent.iterdir())
    assert {"history.sqlite", "history.sqlite-wal", "history.key"} <= {f.name for f in files}
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}


def test_numbers_are_unique_among_threads_and_kernels(path: Path) -> None:
    """Two notebooks that deploy at once get two revisions."""
    code = (
        "import sys, pathlib; from workbench.adapters.history import History\n"
        "for _ in range(20):\n"
        "    h = History(pathlib.Path(sys.argv[1])); n = h.begin('rag', '/rag', '', 'k')\n"
        "    h.served('rag', n, b'%d' % n, 1.0, [])\n"
    )
    kernels = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: serve(History(path)), range(40)))

    assert [kernel.wait(60) for kernel in kernels] == [0, 0]
    assert [r.number for r in History(path).revisions("rag")] == list(range(1, 81))
    assert {r.outcome for r in History(path).revisions("rag")} == {"served"}


def garbage(path: Path) -> None:
    """Another file altogether."""
    path.write_bytes(b"not a database at all " * 500)


def truncated(path: Path) -> None:
    """What a full disk leaves."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def other_version(path: Path) -> None:
    """A file of a later workbench."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def unversioned(path: Path) -> None:
    """A file of a workbench before versions."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 0")
    db.close()


def no_json(path: Path) -> None:
    """A row that holds something else than deployments."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE revisions SET deployments = '[1'")
    db.close()


DAMAGES = [garbage, truncated, other_version, unversioned, no_json]


def kept_by_another_process(path: Path) -> None:
    """Write some revisions and leave, so that all of it is in the one file."""
    code = (
        "import sys, pathlib; from workbench.adapters.history import History\n"
        "h = History(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(30): h.served('rag', h.begin('rag', '/rag', '', 'k'), b'x' * 9000, 1, [])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_and_named(path: Path, damage: Callable[[Path], None]) -> None:
    """A history that cannot be read stops no service, and nothing of it is thrown away."""
    kept_by_another_process(path)
    damage(path)
    content = path.read_bytes()

    with pytest.warns(UserWarning, match=r"cannot be read .* kept as .*history\.sqlite\.damaged-"):
        found = History(path).revisions("rag")

    (aside,) = path.parent.glob("*.damaged-*Z")
    assert found == ()
    assert aside.read_bytes()[:16] == content[:16]
    assert serve(History(path)) == 1


def test_a_file_damaged_during_a_deploy_loses_no_revision(path: Path) -> None:
    """What began before the damage and served after it is the one that serves."""
    history = History(path)
    number = history.begin("rag", "/documents", "a note", "pid 1", after=6)
    path.unlink()
    path.with_name("history.sqlite-wal").unlink()
    garbage(path)

    with pytest.warns(UserWarning, match="damaged-"):
        history.served("rag", number, b"graph", 1.0, [record()])

    found = history.serving("rag")
    assert found is not None
    assert (found.number, found.route_prefix, found.note) == (7, "/documents", "a note")
    assert history.graph("rag", 7) == b"graph"


def test_a_file_that_was_removed_is_begun_anew(path: Path) -> None:
    """Whoever deletes the state folder's files while a kernel lives gets a working history."""
    serve(History(path))
    for each in path.parent.iterdir():
        each.unlink()

    assert serve(History(path)) == 1


def test_a_history_that_cannot_be_written_says_where_and_what_to_do(tmp_path: Path) -> None:
    """The error names the file, not a line inside SQLite."""
    (tmp_path / "history.sqlite").mkdir()

    with pytest.raises(AdvisedError, match=r"history\.sqlite cannot be used.*\nhelp: "):
        History(tmp_path / "history.sqlite")


def test_revisions_show_the_newest_first_without_times() -> None:
    """The text is the same on every run, so a notebook can be compared with it."""
    failed = revision(2, record(action="swap"), outcome="failed", reason="boom", note="two\nlines")
    served = revision(3, record("LLM", "keep"), record("Index", "add"), record("RAG"), note="short")

    text = repr(Revisions([revision(1, record(action="add")), failed, served], serving=3))

    assert text == (
        "   revision  outcome  actions                        note\n"
        "*  3         served   RAG swap, Index add, LLM keep  short\n"
        "   2         failed   RAG swap                       two lines\n"
        "   1         served   RAG add"
    )
    assert repr(Revisions()) == "no revisions"


def test_revisions_survive_pickling() -> None:
    """The mark of the one that serves is no part of the tuple, and must not be lost."""
    made = pickle.loads(pickle.dumps(Revisions([revision(1)], serving=1)))

    assert (made, made.serving) == (Revisions([revision(1)]), 1)


def test_a_diff_is_unified_per_deployment() -> None:
    """Source and options are compared apart, each under the deployment's name."""
    changed = record(source=SOURCE.replace("hello", "bye"), options={"num_replicas": 3, "b": None})

    text = str(diff_of(revision(3, record("LLM"), record()), revision(5, record("LLM"), changed)))

    assert text == (
        "--- RAG (revision 3)\n+++ RAG (revision 5)\n@@ -1,3 +1,3 @@\n"
        " class RAG:\n     def chat(self):\n-        return 'hello'\n+        return 'bye'\n"
        "--- RAG options (revision 3)\n+++ RAG options (revision 5)\n@@ -1 +1,2 @@\n"
        "-num_replicas = 2\n+b = null\n+num_replicas = 3"
    )


@pytest.mark.parametrize(
    ("served", "numbers", "said"),
    [
        (0, (), "no revision of 'rag' is known here"),
        (1, (), "revision 1 of 'rag' is the first"),
        (2, (None, 1), "revision 1 of 'rag' is the first"),
        (2, (1, 7), r"no revision 7\n.*\[1, 2\]"),
    ],
)
def test_a_diff_of_too_few_revisions_is_said(
    served: int, numbers: tuple[int | None, ...], said: str, path: Path
) -> None:
    """After a first deploy there is nothing to compare, and no number to ask for."""
    history = History(path)
    for _ in range(served):
        serve(history)
    facts = ClusterFacts("a:1", "http://127.0.0.1:8000", "", 2, 0, False, 1, "2.60.0")

    with pytest.raises(PlanError, match=said):
        App("rag", "/rag", Cluster(facts), history).diff(*numbers)


def test_a_diff_names_what_came_and_went() -> None:
    """Nothing that was added or removed is left out, nor a line of it."""
    diff = diff_of(revision(1, record("Old")), revision(2, record("New")))

    assert (diff.added, diff.removed) == (("New",), ("Old",))
    assert [d.name for d in diff.deployments] == ["New", "Old"]
    assert str(diff).startswith("added: New\nremoved: Old\n--- New (revision 1)")
    assert "-class RAG:" in str(diff)
    assert "+class RAG:" in str(diff)


def test_a_change_that_the_source_does_not_show_is_named() -> None:
    """A global or an init argument may change behaviour while every line stays the same."""
    other = record(fingerprint={"code": "c0", "state": "s1", "actor": "a0", "light": "l0"})

    diff = diff_of(revision(1, record()), revision(2, other))

    assert str(diff) == "RAG: state changed outside its source and options"


@given(st.text(), st.dictionaries(st.text(), st.integers()))
def test_the_same_has_no_difference(source: str, options: dict[str, int]) -> None:
    """Whatever the source is, compared with itself it says so in words."""
    one = revision(1, record(source=source, options=options))

    assert str(diff_of(one, one)) == "no difference"


def test_the_table_of_revisions_escapes_and_marks() -> None:
    """Notes are the user's text, and the state is told by signs as well as by words."""
    failed = revision(2, record("<b>"), outcome="failed", reason="<i>boom", note="<script>")

    html = tables.revisions_table(Revisions([revision(1, record()), failed], serving=1))

    assert "<script>" not in html
    assert "<i>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;i&gt;boom" in html
    assert html.index("✘ failed") < html.index("✔ served, serving now")
    assert "31 ms" in html
    assert "pid 4711, a.ipynb" in html


def test_a_coloured_diff_can_be_read_without_colours() -> None:
    """Lines keep their signs, take JupyterLab's own colours, and are escaped."""
    changed = record(source=SOURCE.replace("'hello'", "'<script>'"), options={"num_replicas": 3})

    html = tables.diff_html(diff_of(revision(1, record()), revision(2, changed, record("New"))))

    assert "<script>" not in html
    assert "+        return &#x27;&lt;script&gt;&#x27;" in html
    assert "-        return &#x27;hello&#x27;" in html
    assert "--jp-success-color1" in html
    assert "--jp-error-color1" in html
    assert "added: New" in html
    assert "no difference" in tables.diff_html(diff_of(revision(1), revision(1)))


def test_the_stamp_differs_once_another_kernel_has_written(path: Path) -> None:
    """Who looks every second must not read everything every second."""
    here, other = History(path), History(path)
    serve(here)
    before = here.stamp()
    here.revisions("rag")
    unread = here.stamp()
    serve(other)

    assert before == unread
    assert here.stamp() != unread
