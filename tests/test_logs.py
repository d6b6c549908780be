"""What `app.logs()` shows: what the user's code wrote, oldest first."""

from __future__ import annotations

import io
import itertools
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from ray import serve

import workbench
from workbench.replica import output
from workbench.replica.output import MARK, SERVE, SERVE_END, USER, Marked, is_users
from workbench.runtime.logs import Lines

from .waiting import until

WRITTEN = (
    ":job_id:01000000\n:actor_name:ServeReplica\nAllocated port 30000\n"
    f"{MARK}1.0:{SERVE_END}\n{MARK}2.0:{USER}\nfirst\n"
    f"half a {MARK}3.0:{SERVE}\nINFO of Serve\nsecond line of it\n{MARK}3.1:{SERVE_END}\nline\n"
    f"{MARK}4.0:{USER}\n 1%|  \r 50%|# \r100%|##\nlast"
)


def _all(pieces: list[str]) -> list[tuple[float, str, bool]]:
    lines = Lines()
    found = [line for piece in pieces for line in lines.read(piece)]
    return [(each.time_s, each.text, each.users) for each in (*found, *lines.end())]


def test_lines_have_a_time_and_an_author() -> None:
    """What stands between Serve's marks is Serve's, what Ray wrote before the first is Ray's."""
    found = _all([WRITTEN])

    assert [text for _, text, users in found if users] == [
        "first",
        "half a ",
        "line",
        "100%|##",
        "last",
    ]
    assert [text for _, text, users in found if not users][2:] == [
        "Allocated port 30000",
        "INFO of Serve",
        "second line of it",
    ]
    assert [time_s for time_s, _, _ in found] == sorted(time_s for time_s, _, _ in found)
    assert not any(MARK in text for _, text, _ in found)


@given(st.lists(st.integers(WRITTEN.index("first"), len(WRITTEN)), max_size=6))
def test_it_does_not_matter_where_the_text_is_cut(cuts: list[int]) -> None:
    """Ray hands files on in pieces of any size."""
    ends = sorted([0, *cuts, len(WRITTEN)])
    pieces = [WRITTEN[a:b] for a, b in itertools.pairwise(ends)]

    assert _all(pieces) == _all([WRITTEN])


@pytest.mark.parametrize(
    ("text", "users"),
    [
        (f"end of a record\n{MARK}1.0:{SERVE_END}\nmine\n", ["mine"]),
        (f"mine too\n{MARK}1.0:{USER}\nmine\n", ["mine too", "mine"]),
        ("no mark at all\n:actor_name:x\n", ["no mark at all"]),
    ],
)
def test_a_tail_may_begin_anywhere(text: str, users: list[str]) -> None:
    """The first mark of a file's end says whose the lines before it are."""
    assert [text for _, text, of_user in _all([text]) if of_user] == users


def test_marked_streams_write_what_they_are_given() -> None:
    """Marks are whole lines of their own; nothing of the user's text is changed or kept back."""
    raw = io.BytesIO()
    stream = Marked(io.TextIOWrapper(raw, encoding="utf-8"))
    print("one", "two", sep="", end="", file=stream)
    print("", "thr\u00e9e", file=stream)
    stream.writelines(["four\n", "five"])

    lines = raw.getvalue().decode().split("\n")
    assert [each for each in lines if not each.startswith(MARK)] == [
        "onetwo thr\u00e9e",
        "four",
        "five",
    ]
    assert isinstance(stream, io.TextIOBase)
    assert not stream.isatty()


def test_a_record_is_the_users_by_who_made_it() -> None:
    """Serve's documentation tells users to log with Serve's logger; errors are of their code."""
    record = logging.LogRecord(output.LOGGER, 20, f"{output.RAY}/serve/x.py", 1, "m", (), None)
    own = logging.LogRecord(output.LOGGER, 20, "/home/me/notebook.py", 1, "m", (), None)
    error = (ValueError, ValueError("x"), None)
    failed = logging.LogRecord(output.LOGGER, 40, record.pathname, 1, "m", (), error)

    assert [is_users(each) for each in (record, own, failed)] == [False, True, True]


INSTALL = """
import logging, sys
logging.getLogger("ray.serve").addHandler(logging.StreamHandler())
logging.getLogger("ray.serve").propagate = False  # as in a replica
from workbench.replica import output
output.install(); output.install()
print("printed")
logging.getLogger("ray.serve").warning("mine")
logging.getLogger("ray.serve").handlers[:] = [logging.StreamHandler(sys.__stderr__)]
logging.getLogger("ray.serve").warning("after it was configured anew")
"""


def test_marks_outlive_another_configuration_of_the_logger() -> None:
    """Serve configures its logger anew where a deployment's logging_config changes."""
    done = subprocess.run(
        [sys.executable, "-c", INSTALL], capture_output=True, text=True, check=True
    )

    assert [text for _, text, _ in _all([done.stdout])] == ["printed"]
    assert [text for _, text, _ in _all([done.stderr])] == ["mine", "after it was configured anew"]
    assert done.stderr.count(MARK) >= 3


def speaker() -> Any:
    """A service whose code writes in every way there is."""
    api = FastAPI()

    @serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1})
    @serve.ingress(api)
    class Speaker:
        def __init__(self) -> None:
            print("constructed")

        @api.get("/say/{word}")
        def say(self, word: str) -> str:
            print(f"printed {word}")
            sys.stderr.write(f"stderr {word}\n")
            logging.getLogger("mine").warning("logged %s", word)
            logging.getLogger("ray.serve").info("by Serve's logger %s", word)
            subprocess.run(["echo", f"echoed {word}"], check=True)
            return word

        @api.get("/fail")
        def fail(self) -> str:
            raise ValueError("failed on purpose")

    return Speaker


@pytest.mark.ray
def test_logs_are_what_the_users_code_wrote(name: str) -> None:
    """In the order in which it was written, of all replicas; Serve's own lines when asked for."""
    app = workbench.deploy(speaker(), name=name)
    words = [f"w{n}" for n in range(8)]
    for word in words:
        app.get(f"/say/{word}")
    with pytest.raises(workbench.IngressError):
        app.get("/fail")

    until(lambda: "ValueError: failed on purpose" in str(app.logs(tail=1000)))
    lines = [each.partition(" | ")[2] for each in app.logs(tail=1000)]
    assert lines[:2] == ["constructed", "constructed"]
    for how in ("printed", "stderr", "logged", "echoed"):
        assert [each.split()[1] for each in lines if each.startswith(how)] == words
    assert sum("by Serve's logger" in each for each in lines) == len(words)
    noise = [
        each for each in lines if each.startswith(":") or " port " in each or "Started" in each
    ]
    assert not noise
    assert [each.partition(" | ")[2] for each in app.logs(tail=5)] == lines[-5:]
    assert len(app.logs(tail=0)) == 0
    assert len(app.logs(tail=1000, system=True)) > len(lines)
    with pytest.raises(workbench.PlanError, match="tail='all' is no number"):
        app.logs(tail="all")  # type: ignore[arg-type]


@pytest.mark.ray
def test_following_hears_every_replica(name: str) -> None:
    """What was written before, then what both replicas write, until the application ends."""
    app = workbench.deploy(speaker(), name=name)
    app.get("/say/before")
    until(lambda: "printed before" in str(app.logs()))
    heard: list[str] = []

    def listen() -> None:
        for line in app.logs(follow=True):
            heard.append(line)

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    until(lambda: any("printed before" in line for line in heard))
    words = [f"after{n}" for n in range(8)]
    for word in words:
        app.get(f"/say/{word}")

    until(lambda: all(any(f"printed {word}" in line for line in heard) for word in words))
    assert sum("printed before" in line for line in heard) == 1
    assert not any("Started" in line or ":actor_name:" in line for line in heard)
    workbench.delete(name)
    listening.join(timeout=20)
    assert not listening.is_alive()
