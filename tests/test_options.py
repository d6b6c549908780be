"""Code in options is compared by what it does, and an edit of it takes the lowest sound rung."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from workbench.adapters.ray_graph import graph_of
from workbench.core.plan import KEEP, REPLACE, SWAP, TUNE, compare

from .notebook import Notebook

HEAD = """
import ray
from ray import serve
from ray.serve.config import DeploymentActorConfig
from ray.serve.request_router import RequestRouter
class Child:
    def __call__(self):
        return 1
@serve.deployment
class Parent:
    def __init__(self, child):
        self.child = child
"""
POLICY = """
LIMIT = 3
def most():
    return LIMIT
def policy(context):
    return most(), {}
child = serve.deployment(autoscaling_config={"min_replicas": 1, "max_replicas": 3,
                         "policy": {"policy_function": policy}})(Child)
app = Parent.bind(child.bind())
"""
POLICY_CLASS = """
class Policy:
    def __init__(self, n):
        self.n = n
    def __call__(self, context):
        return self.n, {}
child = serve.deployment(autoscaling_config={"min_replicas": 1, "max_replicas": 3,
                         "policy": {"policy_function": Policy, "policy_kwargs": {"n": 1}}})(Child)
app = Parent.bind(child.bind())
"""
ROUTER = """
class Router(RequestRouter):
    async def choose_replicas(self, candidate_replicas, pending_request=None):
        return [[candidate_replicas[0]]]
child = serve.deployment(request_router_config={"request_router_class": Router})(Child)
app = Parent.bind(child.bind())
"""
ACTOR = """
@ray.remote
class Counter:
    def more(self):
        return 1
child = serve.deployment(deployment_actors=[DeploymentActorConfig(
    name="counter", actor_class=Counter)])(Child)
app = Parent.bind(child.bind())
"""
LOG = """
child = serve.deployment(logging_config={"log_level": "INFO"})(Child)
app = Parent.bind(child.bind())
"""


def rungs(before: str, after: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to the child and the parent when a cell is edited."""
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    book.run(HEAD)
    old = graph_of(book.run(before)["app"], {}).nodes
    new = graph_of(book.run(after)["app"], {}).nodes
    pairs: Any = zip(old, new, strict=True)
    return [compare(a.name, a.fingerprint, b.fingerprint).kind for a, b in pairs]


@pytest.mark.parametrize("cell", [POLICY, POLICY_CLASS, ROUTER, ACTOR, LOG])
def test_the_same_cell_run_again_keeps_everything(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run makes new objects, and Serve new pickles of them."""
    assert rungs(cell, cell, monkeypatch) == [KEEP, KEEP]


@pytest.mark.parametrize(
    ("cell", "old", "new", "expected"),
    [
        (POLICY, "return most(), {}", "return most() + 1, {}", [TUNE, KEEP]),
        (POLICY, "LIMIT = 3", "LIMIT = 2", [TUNE, KEEP]),
        (POLICY, "return LIMIT", "return LIMIT - 1", [TUNE, KEEP]),
        (POLICY_CLASS, "return self.n, {}", "return self.n + 1, {}", [TUNE, KEEP]),
        (POLICY_CLASS, '{"n": 1}', '{"n": 2}', [TUNE, KEEP]),
        (ROUTER, "[0]]]", "[-1]]]", [TUNE, REPLACE]),  # the parent's handles have the old one
        (ACTOR, "return 1", "return 2", [REPLACE, KEEP]),
        (ACTOR, "@ray.remote", "@ray.remote(max_concurrency=2)", [REPLACE, KEEP]),
        (LOG, "INFO", "DEBUG", [TUNE, KEEP]),
    ],
)
def test_an_edit_of_code_in_options_takes_effect(
    cell: str, old: str, new: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serve compares names alone; what they stand for is compared here."""
    assert rungs(cell, cell.replace(old, new), monkeypatch) == expected


def test_no_edit_of_an_option_is_a_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own code did not change."""
    assert SWAP not in rungs(POLICY, POLICY.replace("LIMIT = 3", "LIMIT = 1"), monkeypatch)
