"""Messages between widgets and JupyterLab."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import ipywidgets


def inside(widget: Any) -> list[Any]:
    """A widget and all widgets that it holds, by whatever name, each once."""
    found: dict[int, Any] = {}
    pending = [widget]
    while pending:
        each = pending.pop()
        if id(each) not in found:
            found[id(each)] = each
            pending += [w for name in each.keys for w in _widgets(getattr(each, name))]
    return list(found.values())


def _widgets(value: Any) -> Iterator[Any]:
    if isinstance(value, ipywidgets.Widget):
        yield value
    elif isinstance(value, Mapping):
        yield from _among(value.values())
    elif isinstance(value, list | tuple):
        yield from _among(value)


def _among(values: Iterable[Any]) -> Iterator[Any]:
    return (each for each in values if isinstance(each, ipywidgets.Widget))


def say(widget: Any, text: str) -> None:
    """Set a text; what is there already costs no message."""
    if widget.value != text:
        widget.value = text


def offer(choice: Any, options: Sequence[Any]) -> None:
    """Give a list other options: what was chosen stays chosen where it can, else the first is.

    Args:
        choice: a drop-down list.
        options: values, or pairs of a label and a value.
    """
    if tuple(options) == choice.options:
        return
    chosen = choice.value
    choice.options = tuple(options)
    values = [each[1] if isinstance(each, tuple) else each for each in options]
    if values:
        choice.value = chosen if chosen in values else values[0]


def mend(widget: Any) -> None:
    """Have front ends' messages handled where the front end asks, also while a cell runs.

    ipykernel sends a widget's messages to the thread that the widget was last written from, which
    is often the one that runs cells. Outside a kernel there is nothing to mend.
    """
    for each in inside(widget):
        if hasattr(each.comm, "_reply_subshell_for"):
            each.comm._reply_subshell_for = lambda data, default: default


def close_all(widget: Any) -> None:
    """Close a widget and all that it holds, so that neither side remembers them."""
    for each in inside(widget):
        each.close()
