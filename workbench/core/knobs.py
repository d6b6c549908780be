"""The knobs of a running deployment: what may be set, to what, and at which cost. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import TuneError

from .aligned import aligned
from .nearest import suggestion

IN_PLACE, NEW_PROCESSES = "in place", "new processes"
USER_CONFIG, BATCH_SIZE, BATCH_WAIT = "user_config", "max_batch_size", "batch_wait_timeout_s"
GPU_MEMORY, GPUS, ONGOING = "gpu_memory_fraction", "num_gpus", "max_ongoing_requests"
REPLICAS, MIN_REPLICAS, MAX_REPLICAS = "num_replicas", "min_replicas", "max_replicas"
TARGET_ONGOING = "target_ongoing_requests"
SCALE = (REPLICAS, MIN_REPLICAS, MAX_REPLICAS, TARGET_ONGOING)
BATCHING = (BATCH_SIZE, BATCH_WAIT)
AUTOSCALING = (MIN_REPLICAS, MAX_REPLICAS, TARGET_ONGOING)
IN_REPLICA = (*BATCHING, GPU_MEMORY)  # what replicas apply themselves, Serve knows nothing of it


@dataclass(frozen=True)
class Kind:
    """What a knob takes.

    Attributes:
        integer: whole numbers only.
        low: smallest value.
        high: largest value.
        above: whether `low` itself is too small.
        says: the range in words.
        cost: what a change costs.
    """

    integer: bool
    low: float
    high: float
    says: str
    above: bool = False
    cost: str = IN_PLACE


COUNT = Kind(True, 1, 10_000, "1, 2, 3, ...")
KINDS: dict[str, Kind | None] = {
    REPLICAS: COUNT,
    MIN_REPLICAS: Kind(True, 0, 10_000, "0, 1, 2, ..."),
    MAX_REPLICAS: COUNT,
    TARGET_ONGOING: Kind(False, 0, 10_000, "above 0", above=True),
    ONGOING: Kind(True, 1, 100_000, "1, 2, 3, ..."),
    "max_queued_requests": Kind(True, -1, 1_000_000, "-1 for no limit, or 0, 1, 2, ..."),
    BATCH_SIZE: COUNT,
    BATCH_WAIT: Kind(False, 0, 600, "0 to 600 seconds"),
    GPUS: Kind(False, 0, 1_024, "0, a share of one GPU, or whole GPUs", cost=NEW_PROCESSES),
    "num_cpus": Kind(False, 0, 100_000, "0 or more, shares allowed", cost=NEW_PROCESSES),
    GPU_MEMORY: Kind(False, 0, 1, "above 0, at most 1", above=True),
    USER_CONFIG: None,  # any value that JSON can carry
}


@dataclass(frozen=True)
class Setting:
    """A knob that was set on the running service.

    Attributes:
        declared: what the code declared then; code that declares something else wins later. For
            the number of replicas and its bounds, all four together in the order of `SCALE`.
        value: what was set.
    """

    declared: Any
    value: Any


Settings = Mapping[str, Setting]


@dataclass(frozen=True)
class Tunable:
    """One deployment, as far as its knobs go.

    Attributes:
        name: deployment name.
        values: what is true now, by knob; knobs that it does not have are left out.
        settings: what was set by `tune()`, by knob.
    """

    name: str
    values: Mapping[str, Any]
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What a call of `tune()` comes to.

    Attributes:
        values: every knob that is set, by name; those that follow others included.
        notes: what was set beside what was asked for, and why.
    """

    values: dict[str, Any]
    notes: tuple[str, ...] = ()


def checked(asked: Mapping[str, Any], here: Tunable) -> Change:
    """Check what was asked for.

    Args:
        asked: values by knob.
        here: the deployment.

    Returns:
        The change; numbers of the right type.

    Raises:
        TuneError: an unknown knob, a wrong type or range, or knobs that contradict each other.
    """
    unknown = [name for name in asked if name not in KINDS]
    if unknown:
        advice = suggestion(unknown[0], KINDS) or f"knobs: {', '.join(KINDS)}"
        raise TuneError(f"{unknown[0]!r} is no knob", advice)
    values = {name: _value(name, value) for name, value in asked.items()}
    _check_there(values, here)
    _check_replicas(values, here)
    return _followed(values, here)


def _value(name: str, value: Any) -> Any:
    kind = KINDS[name]
    if kind is None:
        return _configuration(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or (kind.integer and value != int(value)):
        wanted = "a whole number" if kind.integer else "a number"
        raise TuneError(f"{name}={value!r} is not {wanted}", f"it takes {kind.says}")
    if value < kind.low or value > kind.high or (kind.above and value == kind.low):
        raise TuneError(f"{name}={value!r} is out of range", f"it takes {kind.says}")
    if name == GPUS and value > 1 and value != int(value):
        raise TuneError(f"{name}={value!r} cannot be placed", f"it takes {kind.says}")
    return int(value) if kind.integer else float(value)


def _configuration(value: Any) -> Any:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TuneError(f"user_config={value!r}: {error}", "use what JSON can carry") from error
    if not isinstance(value, dict):
        raise TuneError(f"user_config={value!r} is not a dictionary", 'such as {"threshold": 0.5}')
    return value


def _check_there(values: Mapping[str, Any], here: Tunable) -> None:
    """Refuse knobs that this deployment does not have."""
    for name in values:
        if name in here.values:
            continue
        if name in BATCHING:
            raise TuneError(
                f"{name}: {here.name!r} has no batched method",
                "decorate an async method by @serve.batch and deploy it",
            )
        if name == USER_CONFIG:
            raise TuneError(
                f"{name}: {here.name!r} has no reconfigure(user_config) method", "add one"
            )
        raise TuneError(f"{name}: {here.name!r} books no GPU", "give it num_gpus first")


def _check_replicas(values: Mapping[str, Any], here: Tunable) -> None:
    autoscaling = [name for name in AUTOSCALING if name in values]
    if REPLICAS in values and autoscaling:
        raise TuneError(
            f"num_replicas and {autoscaling[0]} contradict each other",
            "num_replicas fixes the number, the others let Serve adjust it",
        )
    if not autoscaling:
        return
    lowest, highest = bounds(values, here)
    if lowest > highest:
        raise TuneError(f"min_replicas={lowest} is above max_replicas={highest}", "swap or widen")


def bounds(values: Mapping[str, Any], here: Tunable) -> tuple[int, int]:
    """Fewest and most replicas once `values` are set; from a fixed number both start there."""
    fixed = here.values[REPLICAS]
    lowest = values.get(MIN_REPLICAS, here.values.get(MIN_REPLICAS))
    highest = values.get(MAX_REPLICAS, here.values.get(MAX_REPLICAS))
    if lowest is None:
        lowest = min(1, highest if highest is not None else 1)
    return lowest, highest if highest is not None else max(fixed, lowest)


def _followed(values: dict[str, Any], here: Tunable) -> Change:
    size = values.get(BATCH_SIZE, here.values.get(BATCH_SIZE, 0))
    ongoing = values.get(ONGOING, here.values[ONGOING])
    if size <= ongoing or (BATCH_SIZE not in values and ONGOING not in values):
        return Change(values)
    if ONGOING in values:
        note = f"batches of {size} cannot fill: a replica takes {ongoing} requests at once"
        return Change(values, (note,))
    note = f"max_ongoing_requests raised from {ongoing} to {size}, or batches of {size} never fill"
    return Change({**values, ONGOING: size}, (note,))


def with_change(here: Tunable, change: Change) -> dict[str, Setting]:
    """Settings of a deployment once a change is made."""
    settings = dict(here.settings)
    if REPLICAS in change.values:
        settings = {name: each for name, each in settings.items() if name not in AUTOSCALING}
    if any(name in change.values for name in AUTOSCALING):
        settings.pop(REPLICAS, None)
    for name, value in change.values.items():
        settings[name] = Setting(_declared(name, here), value)
    return settings


def _declared(name: str, here: Tunable) -> Any:
    together = SCALE if name in SCALE else (name,)
    known = [here.settings[each].declared for each in together if each in here.settings]
    return known[0] if known else _together(name, here.values)


def _together(name: str, values: Mapping[str, Any]) -> Any:
    return tuple(values.get(n) for n in SCALE) if name in SCALE else values.get(name)


def carried(settings: Settings, declared: Mapping[str, Any]) -> dict[str, Setting]:
    """Settings that new code keeps: those whose declared value it does not change.

    Args:
        settings: what was set on the code that runs.
        declared: what the new code declares, by knob; knobs that it lacks are left out.
    """
    return {
        name: each
        for name, each in settings.items()
        if name in declared and each.declared == _together(name, declared)
    }


@dataclass(frozen=True)
class Knob:
    """One knob of one deployment, for `app.tune()` without arguments.

    Attributes:
        deployment: deployment name.
        name: knob.
        value: what is true now, or None where nothing is set.
        declared: what the code declares.
        takes: its range in words.
        cost: "in place" or "new processes".
    """

    deployment: str
    name: str
    value: Any
    declared: Any
    takes: str
    cost: str

    @property
    def tuned(self) -> bool:
        """Whether it was set by `tune()`."""
        return bool(self.value != self.declared)


HEAD = ("deployment", "knob", "value", "declared", "takes", "a change costs")


class Knobs(tuple[Knob, ...]):
    """The knobs of an application; shows itself as a table."""

    def __repr__(self) -> str:
        return "\n".join(aligned([HEAD, *map(row, self)])) if self else "no knobs"


def row(each: Knob) -> tuple[str, ...]:
    """One line of the table, in the order of `HEAD`."""
    values = ("-" if value is None else str(value) for value in (each.value, each.declared))
    return (each.deployment, each.name, *values, each.takes, each.cost)


def knobs_of(here: Tunable) -> tuple[Knob, ...]:
    """The knobs that a deployment has."""
    return tuple(_knob(here, name) for name in KINDS if name in here.values)


def _knob(here: Tunable, name: str) -> Knob:
    kind, value = KINDS[name], here.values[name]
    declared = _declared(name, here)
    return Knob(
        deployment=here.name,
        name=name,
        value=value,
        declared=declared[SCALE.index(name)] if name in SCALE else declared,
        takes="a dictionary" if kind is None else kind.says,
        cost=IN_PLACE if kind is None else kind.cost,
    )


@dataclass(frozen=True)
class Tuned:
    """What a call of `app.tune()` did.

    Attributes:
        app: application name.
        deployment: deployment name.
        asked: values that were asked for, by knob.
        values: values that are true now, by knob; those that followed included.
        replicas: replicas in which they are true.
        took_ms: milliseconds from the call until they were true.
        kept_processes: whether every process that ran before the call was kept.
        revision: number of the revision that it became.
        notes: what was set beside what was asked for, and why.
    """

    app: str
    deployment: str
    asked: dict[str, Any]
    values: dict[str, Any]
    replicas: int
    took_ms: float
    kept_processes: bool
    revision: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without times, so that a notebook's output stays the same."""
        said = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        how = "in place" if self.kept_processes else "by new processes"
        lines = [f"{self.deployment}: {said} on {self.replicas} of {self.replicas} replicas, {how}"]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])
