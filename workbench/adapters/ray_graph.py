"""The notebook's objects as a graph of deployments, pickled and fingerprinted."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from ray import serve

from workbench.core import targets
from workbench.core.digests import Units
from workbench.core.fingerprint import Fingerprint, Parts, fingerprint
from workbench.core.graph import Graph, Node, kebab, need_of
from workbench.core.keepers import Keepers
from workbench.core.references import outer_names
from workbench.core.sizes import heaviest
from workbench.core.units import closure_digest
from workbench.errors import PlanError, WorkbenchError
from workbench.replica import identity, routes
from workbench.replica import package as packages

from . import cells, class_names, modules
from .culprits import culprit
from .ray_homes import home_of
from .ray_options import Digests, is_reconfigured, options_and_code
from .ray_pickles import REDUCERS, modules_indexed
from .ray_remote import content_of
from .ray_serve import (
    autoscaling,
    batching_of,
    bound,
    chosen,
    fewest,
    ingress_parts,
    is_ingress_class,
    options_of,
    uses_multiplexing,
)


def graph_of(
    target: Any,
    options: Mapping[str, Any],
    live: Callable[[], Mapping[str, Fingerprint]] = dict,
) -> Graph:
    """Find the deployments that a target consists of.

    Args:
        target: what the user wants to deploy; see `core.targets.KINDS`.
        options: options of `serve.deployment` for a target that is no Serve deployment yet.
        live: gives what each deployment that runs is made of; what was pickled last and still
            runs unchanged is not pickled again.

    Returns:
        The graph, each deployment pickled.

    Raises:
        PlanError: the target is of no known kind, cannot be pickled, or calls itself.
    """
    try:
        application, kind = _application(target, options)
        with modules_indexed():
            return _Walk(target, kind, live).graph(application)
    except WorkbenchError:
        raise
    except (Exception, SystemExit) as error:  # the user's objects answer as they like
        raise PlanError(
            f"a {type(target).__name__} cannot be deployed: looking into it raised "
            f"{type(error).__name__}: {_said(error)}",
            UNPICKLABLE_ADVICE,
        ) from error


def _said(error: BaseException) -> str:
    text = str(error)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def target_name(target: Any) -> str:
    """The application name that a target suggests, in kebab case."""
    if isinstance(target, serve.Application):
        target = bound(target)
    if isinstance(target, serve.Deployment):
        return kebab(target.name)
    return targets.suggested_name(target)


def _application(target: Any, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The target as a bound application, and the kind of its ingress."""
    if isinstance(target, serve.Application | serve.Deployment):
        if options:
            raise PlanError(
                f"{', '.join(options)}: options of a Serve deployment stand in its decorator",
                "write @serve.deployment(...) or MyDeployment.options(...).bind(...)",
            )
        application = target if isinstance(target, serve.Application) else _Unbound(target)
        return application, _serve_kind(bound(application))
    kind = _kind(target)
    name = targets.python_name(target)
    try:
        deployment = serve.deployment(**options)(_Stand) if options else serve.deployment(_Stand)
    except (TypeError, ValueError) as error:
        raise PlanError(f"options {dict(options)}: {error}", "see ray.serve.deployment") from error
    return _Unbound(deployment.options(name=name)), kind


class _Unbound:
    """A deployment without arguments, as if it were bound; binding it would pickle it."""

    def __init__(self, deployment: Any) -> None:
        self._bound_deployment = deployment


class _Stand:
    """Carries the options of a target that is no Serve deployment."""


def _serve_kind(deployment: Any) -> str:
    wrapped = is_ingress_class(deployment.func_or_class)
    return packages.ASGI_CLASS if wrapped else packages.PLAIN


def _kind(target: Any) -> str:
    if targets.is_asgi(target):
        return packages.ASGI_APP
    if is_ingress_class(target):
        return packages.ASGI_CLASS
    targets.check_deployable(target)
    targets.resolve_annotations(target)
    return packages.OBJECT


LARGEST_BYTES = 900_000_000  # SQLite keeps no more than 10**9 in one value
LARGE_ADVICE = "load it in the constructor, from a file or a model's folder, where the replica runs"
SHOWN = 500  # letters of an error
_PICKLED: dict[str, tuple[Fingerprint, bytes]] = {}  # the newest of each deployment's name


class _Walk:
    """One walk over a graph of bound applications, callees first."""

    def __init__(
        self, target: Any, ingress_kind: str, live: Callable[[], Mapping[str, Fingerprint]]
    ) -> None:
        self._target, self._ingress_kind, self._live = target, ingress_kind, live
        self._nodes: dict[int, Node] = {}
        self._open: list[Any] = []
        self._routers: dict[str, Digests] = {}

    def graph(self, application: Any) -> Graph:
        self._visit(application, self._ingress_kind)
        return Graph(tuple(self._nodes.values()))

    def _visit(self, application: Any, kind: str) -> Node:
        if id(application) in self._nodes:
            return self._nodes[id(application)]
        deployment = bound(application)
        if any(application is each for each in self._open):
            raise PlanError(
                f"{deployment.name!r} is bound to itself", "break the circle of .bind()"
            )
        self._open.append(application)
        children = _children(deployment)
        called = [self._visit(each, _serve_kind(bound(each))) for each in children]
        self._open.pop()
        node = self._node(deployment, kind, children, tuple(each.name for each in called))
        self._nodes[id(application)] = node
        return node

    def _node(
        self, deployment: Any, kind: str, children: list[Any], called: tuple[str, ...]
    ) -> Node:
        target, args, kwargs = self._parts(deployment)
        name = self._unique(deployment.name)
        own, app = ingress_parts(target) if kind == packages.ASGI_CLASS else (target, None)
        code = _Code(own, app, args, kwargs, dict(zip(map(id, children), called, strict=True)))
        options = {each: _shown(deployment, each) for each in sorted(chosen(deployment))}
        blob, made_of = self._made(code, kind, deployment, name, called)
        if len(blob) > LARGEST_BYTES:
            raise PlanError(_too_large(name, own, len(blob)), LARGE_ADVICE)
        return Node(
            name=name,
            kind=kind,
            callable_name=targets.python_name(target),
            code=blob,
            children=called,
            sources=cells.sources_of(own, app, *args, *kwargs.values()),
            replicas=fewest(deployment),
            autoscaling=autoscaling(deployment) is not None,
            surges="max_surge_percent" not in chosen(deployment),
            need=need_of(deployment.ray_actor_options or {}),
            deployment=deployment.options(func_or_class=_Stand),
            fingerprint=made_of,
            user_config=deployment.user_config,
            options=options,
            source=cells.source_of(target),
            multiplexes=uses_multiplexing(own),
            batching=batching_of(own),
            reconfigures=hasattr(own, "reconfigure"),
        )

    def _made(
        self, code: _Code, kind: str, deployment: Any, name: str, called: tuple[str, ...]
    ) -> tuple[bytes, Fingerprint]:
        theirs = [(child, self._routers[child]) for child in called]
        try:
            made_of, self._routers[name] = code.fingerprint(kind, deployment, theirs)
        except (Exception, SystemExit):
            code.pickled(deployment.name)  # names what cannot be sent, if that is why
            raise
        last, blob = _PICKLED.get(name, (None, b""))
        if made_of != last or self._live().get(name) != last:
            blob = code.pickled(deployment.name)
            _PICKLED[name] = made_of, blob
        else:
            code.name_classes()
        return blob, made_of

    def _parts(self, deployment: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        if deployment.func_or_class is _Stand:
            return self._target, (), {}
        return deployment.func_or_class, *_arguments(deployment)

    def _unique(self, name: str) -> str:
        taken = {node.name for node in self._nodes.values()}
        candidates = [name, *(f"{name}_{n}" for n in range(1, len(taken) + 1))]
        return next(each for each in candidates if each not in taken)


class _Code:
    """The objects of one deployment: pickled, and fingerprinted.

    Args:
        target: the user's class, function, application or instance.
        app: the application of a class wrapped by `@serve.ingress`, or None.
        args: positional arguments of the constructor.
        kwargs: keyword arguments of the constructor.
        children: names of the deployments that are called, by id of their bound application.
    """

    def __init__(
        self,
        target: Any,
        app: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        children: dict[int, str],
    ) -> None:
        if hasattr(app, "router"):
            routes.drop_stale(app, target)
        elif targets.is_asgi(target):
            routes.drop_stale(target)
        for _, route in routes.walk(target if app is None and targets.is_asgi(target) else app):
            targets.resolve_annotations(route.endpoint)
        self._target, self._app, self._args, self._kwargs = target, app, args, kwargs
        self._children = children
        self._home = home_of(target)
        self._units = Units(self._special, modules.digest, self._globals_of, content_of, REDUCERS)

    def pickled(self, name: str) -> bytes:
        """Everything by value; deployments that are called stand in it by number.

        Raises:
            PlanError: something cannot be pickled; it is named.
        """
        numbers = {key: number for number, key in enumerate(self._children)}
        parts = (self._target, self._app, self._args, self._kwargs)
        number = (lambda obj: numbers.get(id(obj))) if numbers else None
        kept = Keepers(self._units).name
        return _dumped(parts, number, name, self._globals_of, self._class_id, kept)

    def fingerprint(
        self, kind: str, deployment: Any, called: list[tuple[str, Digests]]
    ) -> tuple[Fingerprint, Digests]:
        """What it is made of, with its options; and the routers by which others call it."""
        actor, light, routers = options_and_code(deployment, called)
        reconfigured = is_reconfigured(deployment, self._target)
        parts = Parts(kind, self._target, self._app, self._args, self._kwargs, reconfigured)
        return fingerprint(parts, self._units, actor, light), routers

    def _special(self, thing: Any) -> str:
        return self._children.get(id(thing), "") if isinstance(thing, serve.Application) else ""

    def name_classes(self) -> None:
        """Give classes of a cell that was run again the names by which replicas know them."""
        for cls in self._units.classes():
            if not identity.is_named(cls):
                self._class_id(cls)

    def _class_id(self, cls: type) -> tuple[str, str] | None:
        """The same for equal classes, so that objects in a replica stay instances of them.

        The deployment's own class is a new one each time: its routes belong to it, and its methods
        and they look their globals up in one place.
        """
        if not self._units.by_value(cls):
            return None
        digest = closure_digest([self._units.of(cls)])
        own = isinstance(self._target, type) and cls in self._target.__mro__
        name, number = class_names.name(cls, digest, self._home)
        return name, digest + number + (secrets.token_hex(4) if own else "")

    def _globals_of(self, function: Any) -> dict[str, Any]:
        """Globals of the place where the class stands, also for the copies that Ray made.

        `@serve.ingress` freezes the application together with the globals of that moment; what
        was defined after it, or again, would not be seen.
        """
        own: dict[str, Any] = function.__globals__
        home = self._home
        if home is None or own is home or own.get("__name__") != home.get("__name__"):
            return own
        return home if all(n in home for n in outer_names(function) if n in own) else own


def _shown(deployment: Any, option: str) -> Any:
    """An option's value for the history: as it is where JSON can hold it, else its text."""
    actor, light = options_of(deployment)
    value = {**actor, **light}.get(option, getattr(deployment, option, None))
    return value if isinstance(value, str | int | float | bool | dict | list | None) else str(value)


def _arguments(deployment: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(deployment.init_args or ()), dict(deployment.init_kwargs or {})


def _children(deployment: Any) -> list[Any]:
    found: list[Any] = []
    args, kwargs = _arguments(deployment)
    if not args and not kwargs:
        return found

    def collect(obj: Any) -> int | None:
        if not isinstance(obj, serve.Application):
            return None
        if not any(obj is each for each in found):
            found.append(obj)
        return 0

    _dumped((args, kwargs), collect, deployment.name)
    return found


def _dumped(
    parts: Any, number: Callable[[Any], int | None] | None, name: str, *hooks: Any
) -> bytes:
    try:
        return packages.dump(parts, number, *hooks)
    except (Exception, SystemExit) as error:  # pickling runs the user's code: anything may come
        found = culprit(parts, lambda part: packages.dump((part,), number, *hooks))
        text = f"{name!r} cannot be sent to a replica: {found or error}"
        raise PlanError(text, UNPICKLABLE_ADVICE) from error


def _too_large(name: str, target: Any, size: int) -> str:
    text = f"the code of {name!r} holds {size / 1e9:.2g} GB; at most {LARGEST_BYTES / 1e9:g} can go"
    what, of_it = heaviest(target)
    return f"{text} to replicas: {what!r} has {of_it / 1e9:.2g} GB" if 2 * of_it > size else text


UNPICKLABLE_ADVICE = (
    "make it in the constructor (or the lifespan) of the deployment, where the replica runs, "
    "or import it from a module"
)
