"""The knobs of a deployment, read from and written into its Serve options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.core import knobs
from workbench.core.digests import Units
from workbench.core.fingerprint import of_options
from workbench.core.graph import Node, need_of
from workbench.core.knobs import Setting, Tunable, bounds, carried

from . import modules
from .ray_serve import autoscaling, autoscaling_options, fewest, options_of

LIGHT = (knobs.ONGOING, "max_queued_requests")
ACTOR = ("num_cpus", knobs.GPUS)


def tunable_of(node: Node) -> Tunable:
    """The knobs of a deployment with their values."""
    adjusts, (_, light) = autoscaling(node.deployment), options_of(node.deployment)
    values: dict[str, Any] = {
        knobs.REPLICAS: None if adjusts else node.replicas,
        knobs.MIN_REPLICAS: adjusts.min_replicas if adjusts else None,
        knobs.MAX_REPLICAS: adjusts.max_replicas if adjusts else None,
        knobs.TARGET_ONGOING: adjusts.get_target_ongoing_requests() if adjusts else None,
        **{name: light[name] for name in LIGHT},
        "num_cpus": node.need.cpus,
        knobs.GPUS: node.need.gpus,
    }
    if node.batching:
        sizes, waits_s = zip(*node.batching.values(), strict=True)
        values |= {knobs.BATCH_SIZE: max(sizes), knobs.BATCH_WAIT: max(waits_s)}
    if node.need.gpus:
        values[knobs.GPU_MEMORY] = node.need.gpus if node.need.gpus < 1 else 1.0
    if node.reconfigures:
        values[knobs.USER_CONFIG] = node.user_config
    values |= {n: s.value for n, s in node.settings.items() if n in knobs.IN_REPLICA}
    return Tunable(node.name, values, node.settings)


def with_settings(node: Node, settings: Mapping[str, Setting]) -> Node:
    """The same deployment with knobs set.

    Args:
        node: the deployment as its code declares it, or with some of these knobs set already.
        settings: every knob that is set.
    """
    if not settings:
        return node
    here = tunable_of(node)
    values = {name: each.value for name, each in settings.items()}
    options = {name: values[name] for name in LIGHT if name in values}
    base = _unfixed(node, values)
    options |= _scale(values, here, autoscaling(base))
    resources = {name: values[name] for name in ACTOR if name in values}
    if resources:
        options["ray_actor_options"] = {**(node.deployment.ray_actor_options or {}), **resources}
    if knobs.USER_CONFIG in values:
        options["user_config"] = values[knobs.USER_CONFIG]
    deployment = base.options(**options) if options else base
    return replace(
        node,
        deployment=deployment,
        replicas=fewest(deployment),
        autoscaling=autoscaling(deployment) is not None,
        need=need_of(deployment.ray_actor_options or {}),
        user_config=deployment.user_config,
        options={**node.options, **values},
        settings=dict(settings),
        fingerprint=_fingerprint(node, deployment, settings),
    )


def _unfixed(node: Node, values: Mapping[str, Any]) -> Any:
    """The Serve deployment without a number of replicas that was set and is set no longer."""
    earlier = node.settings.get(knobs.REPLICAS)
    if earlier is None or knobs.REPLICAS in values or earlier.declared[0] is None:
        return node.deployment
    return node.deployment.options(num_replicas=earlier.declared[0])


def _scale(values: Mapping[str, Any], here: Tunable, adjusts: Any) -> dict[str, Any]:
    if knobs.REPLICAS in values:
        fixed = {knobs.REPLICAS: values[knobs.REPLICAS]}
        return {**fixed, "autoscaling_config": None} if adjusts else fixed
    asked = {name: values[name] for name in knobs.AUTOSCALING if name in values}
    if not asked:
        return {}
    known = adjusts.model_dump(exclude_unset=True) if adjusts else {}
    lowest, highest = bounds(values, here)
    known |= {**asked, knobs.MIN_REPLICAS: lowest, knobs.MAX_REPLICAS: highest}
    first = known.get("initial_replicas")
    if first is not None:
        known["initial_replicas"] = min(max(first, lowest), highest)
    return {"autoscaling_config": autoscaling_options(**known)}


def _fingerprint(node: Node, deployment: Any, settings: Mapping[str, Setting]) -> Any:
    """The node's own, with digests of the options that differ now."""
    units = Units(lambda thing: "", modules.digest, lambda function: function.__globals__)
    before = zip(options_of(node.deployment), options_of(deployment), strict=True)
    actor, light = (
        {name: value for name, value in new.items() if old.get(name) != value}
        for old, new in before
    )
    tuned = {name: (each.declared, each.value) for name, each in sorted(settings.items())}
    return replace(
        node.fingerprint,
        actor={**node.fingerprint.actor, **of_options(actor, units)},
        light={**node.fingerprint.light, **of_options(light, units)},
        tuned=tuned,
    )


def with_carried(node: Node, tuned: Mapping[str, tuple[Any, Any]]) -> Node:
    """New code with the knobs that were set on the code that runs.

    Args:
        node: the new code.
        tuned: what was set, by knob: what the code declared then, and what was set.
    """
    if not tuned:
        return node
    settings = {name: Setting(*each) for name, each in tuned.items()}
    return with_settings(node, carried(settings, tunable_of(node).values))
