"""Code that stands in a deployment's options: policies, routers, deployment actors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from workbench.core.digests import Units
from workbench.core.fingerprint import of_options

from . import modules
from .ray_pickles import REDUCERS
from .ray_remote import content_of
from .ray_serve import options_of

# --- private names of Ray: pinned by tests/test_ray_contract.py
# Deployment._deployment_config with what its parts unpickle: an edit of a policy, a router or a
#   deployment actor would be taken for none; the options hold names, and pickles that differ.


def _code_in_options(
    deployment: Any,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What belongs to the processes, what Serve takes up at once, and what callers choose by."""
    config = deployment._deployment_config
    of_processes = {
        f"deployment actor `{each.name}`": each.get_actor_class()
        for each in config.deployment_actors or ()
    }
    policy, router = (
        getattr(config.autoscaling_config, "policy", None),
        config.request_router_config,
    )
    live, of_callers = {}, {}
    if policy is not None and not policy.is_default_policy_function():
        live["autoscaling policy"] = policy.get_policy()
    if not router.is_default_request_router():
        of_callers["request router"] = router.get_request_router_class()
    return of_processes, live, of_callers


# --- end of private names

Digests = dict[str, str]


def options_and_code(
    deployment: Any, called: Iterable[tuple[str, Digests]]
) -> tuple[dict[str, Any], dict[str, Any], Digests]:
    """Options with digests of the code in them.

    The handles of a process choose replicas by the router that they found when they were made, so
    another router means other processes for those who call.

    Args:
        deployment: carries the options.
        called: name and routers of each deployment that it calls.

    Returns:
        Those that belong to the processes, those that a running deployment takes, and its routers.
    """
    actor, light = options_of(deployment)
    of_processes, live, routers = map(_digests, _code_in_options(deployment))
    for child, theirs in called:
        actor |= {f"{what} of {child!r}": digest for what, digest in theirs.items()}
    return actor | of_processes, light | live | routers, routers


def _digests(code: Mapping[str, Any]) -> Digests:
    return (
        of_options(code, Units(own_module=modules.digest, instead=content_of, reducers=REDUCERS))
        if code
        else {}
    )


def is_reconfigured(deployment: Any, target: Any) -> bool:
    """Whether Serve calls `reconfigure` after the constructor; for the rank's sake also alone."""
    method = getattr(target, "reconfigure", None) if isinstance(target, type) else None
    wants_rank = callable(method) and "rank" in inspect.signature(method).parameters
    return deployment.user_config is not None or wants_rank
