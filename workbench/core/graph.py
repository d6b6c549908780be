"""A graph of deployments, as found in the notebook: what each is made of and whom it calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.errors import PlanError

from .fingerprint import Fingerprint
from .knobs import Setting

KEY = "require_key"  # as the plan calls it
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PREFIX = re.compile(r"/|(/[A-Za-z0-9_.~@:-]+)+")


@dataclass(frozen=True)
class Need:
    """Logical resources that one replica books.

    Attributes:
        cpus: CPUs, fractions allowed.
        gpus: GPUs, fractions allowed.
        other: custom resources by name.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    other: dict[str, float] = field(default_factory=dict)

    def items(self) -> tuple[tuple[str, float], ...]:
        """Resource names as Ray spells them, with amounts; zero amounts left out."""
        every = {"CPU": self.cpus, "GPU": self.gpus, **self.other}
        return tuple((name, amount) for name, amount in every.items() if amount)


@dataclass(frozen=True)
class Node:
    """One deployment of the graph.

    Attributes:
        name: deployment name, unique in the graph.
        kind: what it is; see `workbench.replica.package`.
        callable_name: name of the class or function.
        code: pickled (callable, ASGI application or None, args, kwargs).
        children: names of the deployments that it calls.
        sources: text of each notebook cell by the file name that its code carries.
        replicas: replicas wanted, or the smallest number when they adjust themselves.
        autoscaling: whether Serve adjusts the number of replicas.
        surges: whether new replicas start before old ones stop.
        need: what each replica books.
        deployment: the Serve deployment that carries the options.
        fingerprint: what it is made of.
        user_config: what its `reconfigure` is called with, or None.
        options: options that the user chose, for the history.
        source: its text as written, for the history.
        multiplexes: whether it has a method decorated by `@serve.multiplexed`.
        batching: size and wait in seconds of each method decorated by `@serve.batch`, as declared.
        reconfigures: whether it has a `reconfigure` method.
        settings: what `tune()` set on it, by knob; the options hold these values already.
        key_digest: digest of the key that requests to the ingress must carry, or "".
    """

    name: str
    kind: str
    callable_name: str
    code: bytes
    children: tuple[str, ...]
    sources: dict[str, str]
    replicas: int
    autoscaling: bool
    surges: bool
    need: Need
    deployment: Any
    fingerprint: Fingerprint
    user_config: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    multiplexes: bool = False
    batching: dict[str, tuple[int, float]] = field(default_factory=dict)
    reconfigures: bool = False
    settings: dict[str, Setting] = field(default_factory=dict)
    key_digest: str = ""


@dataclass(frozen=True)
class Graph:
    """Deployments of one application, callees before callers; the last one is the ingress."""

    nodes: tuple[Node, ...]

    @property
    def ingress(self) -> Node:
        """The deployment that answers over HTTP."""
        return self.nodes[-1]

    def keyed(self, digest: str) -> Graph:
        """The same graph whose ingress asks for the key with this digest."""
        *others, node = self.nodes
        made_of = replace(node.fingerprint, light={**node.fingerprint.light, KEY: digest})
        return Graph((*others, replace(node, fingerprint=made_of, key_digest=digest)))


def need_of(options: Mapping[str, Any]) -> Need:
    """What `ray_actor_options` book; a replica books one CPU when they do not say.

    Raises:
        PlanError: more than one GPU, but no whole number of them: Ray cannot place that.
    """
    cpus, gpus = options.get("num_cpus"), float(options.get("num_gpus") or 0.0)
    if gpus > 1 and gpus != int(gpus):
        raise PlanError(f"num_gpus={gpus:g} cannot be placed", "a share of one GPU, or whole GPUs")
    return Need(
        cpus=1.0 if cpus is None else float(cpus),
        gpus=gpus,
        other={k: float(v) for k, v in (options.get("resources") or {}).items()},
    )


def kebab(name: str) -> str:
    """Turn a Python name into an application name: `RAGService` -> `rag-service`."""
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3-\2\4", name)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "app"


def checked_name(name: str) -> str:
    """Return a valid application name.

    Raises:
        PlanError: it is empty or holds a character that Serve or a URL cannot carry.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PlanError(
            f"{name!r} is no application name",
            "use letters, digits, '-', '_' and '.', beginning with a letter or digit",
        )
    return name


def checked_prefix(prefix: str | None, name: str) -> str:
    """Return a valid route prefix; `/<name>` when none is given.

    Raises:
        PlanError: it does not begin with "/", ends with "/", or holds braces or white space.
    """
    if prefix is None:
        return f"/{name}"
    if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
        raise PlanError(
            f"{prefix!r} is no route prefix",
            f'it begins with "/" and does not end with one, such as "/{name}" or "/api/v1"',
        )
    return prefix
