"""Names, prefixes, capacity and the judgement of a rollout: the pure decisions."""

from __future__ import annotations

import inspect
from typing import Annotated

import pytest
from fastapi import Depends, Request
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.capacity import Room, shortage, waiting_for
from workbench.core.fingerprint import Fingerprint
from workbench.core.graph import Graph, Need, Node, checked_name, checked_prefix, kebab
from workbench.core.nearest import suggestion
from workbench.core.rollout import Wanted, before_of, judge
from workbench.core.targets import resolve_annotations
from workbench.errors import PlanError


def node(name: str = "a", replicas: int = 1, need: Need | None = None, surges: bool = True) -> Node:
    """A deployment with nothing in it."""
    made_of = Fingerprint("plain", {}, {})
    options = (replicas, False, surges, need or Need(), None, made_of)
    return Node(name, "plain", name, b"", (), {}, *options)


def user_of(request: Request) -> str:
    """A dependency; this module's annotations are text."""
    return str(request.url)


def test_annotations_become_types_for_fastapi() -> None:
    """Those of dependencies too, and in the signature that Serve leaves; unknown names stay."""

    def endpoint(
        request: Request,
        user: Annotated[str, Depends(user_of)],
        other: Missing = None,  # noqa: F821 - as a name for type checkers alone
    ) -> int: ...

    endpoint.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    resolve_annotations(endpoint)
    shown = inspect.signature(endpoint).parameters

    assert endpoint.__annotations__["request"] is Request
    assert shown["request"].annotation is Request
    assert user_of.__annotations__ == {"request": Request, "return": str}
    assert shown["other"].annotation == "Missing"


def wanted(*nodes: Node, fresh: bool = True) -> Wanted:
    """A rollout of these, all with new processes or all with the old ones."""
    names = frozenset(n.name for n in nodes if fresh)
    return Wanted(Graph(nodes), names, {n.name: 20.0 for n in nodes})


def details(**replicas: list[tuple[str, str]]) -> dict[str, object]:
    """Serve's details with (id, state) of each deployment's replicas."""
    return {
        "route_prefix": "/x",
        "deployments": {
            name: {
                "message": "",
                "status": "HEALTHY",
                "deployment_config": {"graceful_shutdown_timeout_s": 20.0},
                "replicas": [{"replica_id": i, "state": s, "pid": 1} for i, s in each],
            }
            for name, each in replicas.items()
        },
    }


@pytest.mark.parametrize(
    ("python", "kebabs"),
    [("RAGService", "rag-service"), ("Echo", "echo"), ("my_app", "my-app"), ("<lambda>", "lambda")],
)
def test_kebab_case(python: str, kebabs: str) -> None:
    """The default application name is the target's own, in kebab case."""
    assert kebab(python) == kebabs


@given(st.text())
def test_kebab_case_is_always_a_valid_name(text: str) -> None:
    """Whatever a target is called, its default name can be deployed."""
    assert checked_name(kebab(text))


@given(st.text())
def test_a_prefix_is_valid_or_refused(text: str) -> None:
    """A route prefix either routes or is refused with advice; nothing in between."""
    try:
        prefix = checked_prefix(text, "app")
    except PlanError as error:
        assert error.advice
    else:
        assert prefix == "/" or (prefix.startswith("/") and not prefix.endswith("/"))
        assert not set(prefix) & set(" {}?#")


@given(
    free=st.floats(0, 64),
    amount=st.floats(0.01, 64),
    replicas=st.integers(1, 20),
    live=st.integers(0, 20),
)
def test_what_fits_is_never_refused_and_what_does_not_always(
    free: float, amount: float, replicas: int, live: int
) -> None:
    """The new replicas, one beside the old at least, in what is free; and all in the cluster."""
    room = Room({"CPU": 64}, {"CPU": free}, {"CPU": 64})
    more = max(replicas - live, 1 if live else 0)

    said = shortage([node("a", replicas, Need(cpus=amount))], room, {"a": live}, {"a"})

    too_many = replicas * amount > 64 + 1e-9
    assert bool(said) == (more * amount > free + 1e-9 or too_many)


def test_what_never_fits_is_told_with_the_whole_sum() -> None:
    """One at a time there is room, but not for all of them in the end."""
    room = Room({"GPU": 2}, {"GPU": 1.25}, {"GPU": 2})
    said = shortage([node("llm", 3, Need(0, gpus=1))], room, {"llm": 3}, {"llm"})

    assert said == "needs 3 GPU in all (llm 3 x 1), the cluster has 2"


def test_a_replica_larger_than_every_node_is_refused() -> None:
    """Ray would wait for such a replica for ever."""
    room = Room({"GPU": 4, "CPU": 8}, {"GPU": 4, "CPU": 8}, {"GPU": 2, "CPU": 8})

    said = shortage([node("llm", 1, Need(gpus=3))], room, {}, ())

    assert said == "'llm' needs 3 GPU per replica, the cluster's largest node has 2"


def test_why_a_replica_waits() -> None:
    """The progress line gives the arithmetic in the user's words."""
    room = Room({"GPU": 1}, {"GPU": 0.3, "CPU": 4}, {"GPU": 1})

    assert waiting_for(Need(gpus=0.5), room) == "needs 0.5 GPU, 0.3 free"


def test_a_rollout_is_ready_when_only_new_replicas_take_requests() -> None:
    """`deploy()` may not return while an old replica can still answer."""
    goal = wanted(node("a", 2))
    since = before_of(details(a=[("old1", "RUNNING"), ("old2", "RUNNING")]))

    def ready(*replicas: tuple[str, str]) -> bool:
        return judge(goal, details(a=list(replicas)), since, None, 1.0).ready

    assert not ready(("old1", "RUNNING"), ("old2", "RUNNING"))
    assert not ready(("old1", "RUNNING"), ("new1", "RUNNING"), ("new2", "RUNNING"))
    assert not ready(("new1", "RUNNING"), ("new2", "STARTING"))
    assert ready(("old1", "STOPPING"), ("new1", "RUNNING"), ("new2", "RUNNING"))


def test_a_replaced_ingress_lingers_until_it_has_ended() -> None:
    """Those who keep a connection to it open would be answered by it once more."""
    goal = wanted(node("a"))
    since = before_of(details(a=[("old", "RUNNING")]))

    def lingers(*replicas: tuple[str, str]) -> bool:
        return judge(goal, details(a=list(replicas)), since, None, 1.0).lingers

    assert lingers(("old", "STOPPING"), ("new", "RUNNING"))
    assert not lingers(("new", "RUNNING"))


@given(st.lists(st.sampled_from(["RUNNING", "STARTING", "STOPPING", "UPDATING"]), max_size=6))
def test_ready_means_enough_running_replicas(states: list[str]) -> None:
    """No mixture of states is taken for ready unless enough new replicas run."""
    found = details(a=[(f"r{n}", state) for n, state in enumerate(states)])

    verdict = judge(wanted(node("a", 2)), found, before_of(None), None, 0.0)

    assert verdict.ready == (states.count("RUNNING") >= 2)


def test_an_older_failure_is_not_taken_for_a_new_one() -> None:
    """Serve keeps its message until the next rollout has begun."""
    failed = details(a=[])
    failed["deployments"]["a"]["message"] = "A replica failed to start. Error:\nboom"  # type: ignore[index]
    goal = wanted(node("a"))

    assert judge(goal, failed, before_of(failed), None, 0.0).failure == ""
    assert judge(goal, failed, before_of(None), None, 0.0).failure == "a: boom"


def test_a_replica_whose_node_was_lost_is_no_failure() -> None:
    """Serve starts it on another one."""
    lost = details(a=[])
    reason = "The actor died because its node has died. Node Id: 91"
    lost["deployments"]["a"]["message"] = f"A replica failed to start. Error:\n{reason}"  # type: ignore[index]

    assert judge(wanted(node("a")), lost, before_of(None), None, 0.0).failure == ""


def test_a_replicas_traceback_comes_without_serves_wrapping() -> None:
    """The first line is the user's."""
    failed = details(a=[])
    wrapped = "ray::Replica.initialize()\nRuntimeError: Traceback (most recent call last):\nboom"
    failed["deployments"]["a"]["message"] = f"failed to start. Error:\n{wrapped}"  # type: ignore[index]
    said = judge(wanted(node("a")), failed, before_of(None), None, 0.0).failure

    assert said == "a: Traceback (most recent call last):\nboom"


def test_a_rollout_of_options_is_ready_when_serve_knows_them() -> None:
    """Before that, what it reports is about the options that it had."""
    goal = wanted(node("a", 2), fresh=False)
    older = details(a=[("r1", "RUNNING"), ("r2", "RUNNING")])
    older["deployments"]["a"]["deployment_config"]["graceful_shutdown_timeout_s"] = 20.000003  # type: ignore[index]

    def ready(found: dict[str, object]) -> bool:
        return judge(goal, found, before_of(older), None, 1.0).ready

    assert not ready(older)
    assert not ready(details(a=[("r1", "RUNNING")]))
    assert ready(details(a=[("r1", "RUNNING"), ("r2", "RUNNING")]))


def test_suggestions_name_the_nearest() -> None:
    """A typo gets the name that was meant and the list of all."""
    assert suggestion("cht", ["chat", "health"]) == "did you mean 'chat'? there are: chat, health"
