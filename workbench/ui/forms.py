"""The form to try the ingress: an operation of its OpenAPI document, filled in and sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from workbench.core import forms
from workbench.core.forms import Field, fields_of
from workbench.core.openapi import Operation
from workbench.core.wishes import APPLIED, PENDING, REFUSED, Report, Wish
from workbench.errors import WorkbenchError
from workbench.runtime.desk import READ

from . import comms, texts

TRY = "try"
LEFT_OUT = "(left out)"
WIDE = {"width": "620px", "max_width": "100%"}
TALL = {"width": "620px", "max_width": "100%", "height": "88px"}
STYLE = {"description_width": "220px"}
LONGEST = 4000


class TryIt:
    """A form. What is sent goes to `wish`; `report` shows what comes back.

    Args:
        wish: takes the call: topic ("", "try"), values `operation` and `arguments`.
        stop: is called when the user wants no more of an answer that comes in pieces.
    """

    def __init__(self, wish: Callable[[Wish], None], stop: Callable[[], None]) -> None:
        self._wish = wish
        self._known: dict[str, Operation] = {}
        self._fields: dict[str, tuple[Field, Any]] = {}
        self.choice = ipywidgets.Dropdown(description="Operation", layout=WIDE, style=STYLE)
        self.choice.observe(lambda change: self._fill(change["new"]), "value")
        again = ipywidgets.Button(description="Read again", tooltip="read the service's OpenAPI")
        again.on_click(lambda _: self.read())
        self.send = ipywidgets.Button(
            description="Send", button_style="primary", tooltip="send the request"
        )
        self.send.on_click(lambda _: self._sent())
        self._summary, self.answer = ipywidgets.HTML(), ipywidgets.HTML()
        self._inputs = ipywidgets.VBox()
        halt = ipywidgets.Button(description="Stop", tooltip="want no more of a streamed answer")
        halt.on_click(lambda _: stop())
        buttons = ipywidgets.HBox([self.send, halt, again])
        parts = [self.choice, self._summary, self._inputs, buttons, self.answer]
        self.widget = ipywidgets.VBox(parts)

    def read(self) -> None:
        """Have the operations of the service read."""
        self._wish(Wish(("", READ), {}))

    def offer(self, operations: Sequence[Operation]) -> None:
        """Offer the operations of the service."""
        known = {each.name: each for each in operations}
        if known == self._known:
            return
        self._known = known
        chosen = self.choice.value
        comms.offer(self.choice, [(f"{o.name}  {o.method} {o.path}", o.name) for o in operations])
        if self.choice.value == chosen:
            self._fill(chosen)  # its fields may be others now

    def _fill(self, name: str | None) -> None:
        operation = self._known.get(name or "")
        fields = () if operation is None else fields_of(operation)
        for _, gone in self._fields.values():
            gone.close()
        self._fields = {each.argument: (each, _control(each)) for each in fields}
        self._inputs.children = tuple(made for _, made in self._fields.values())
        comms.mend(self._inputs)
        self._summary.value = "" if operation is None else texts.summary(operation.summary)

    def _sent(self) -> None:
        if self.choice.value is None:
            return
        try:
            filled = {name: _read(*pair) for name, pair in self._fields.items()}
        except WorkbenchError as error:
            self.answer.value = texts.answer("not sent", str(error), True)
            return
        arguments = {n: v for n, v in filled.items() if v is not LEFT_OUT}
        values = {"operation": self.choice.value, "arguments": arguments}
        self._wish(Wish(("", TRY), values))

    def report(self, each: Report) -> None:
        """Say how the request stands, and what came back."""
        if each.wish.topic[1] == READ:
            if each.state == APPLIED:
                self.offer(each.result)
            elif each.state == REFUSED:
                self.answer.value = texts.answer("no operations are known", each.text, True)
        elif each.state == PENDING:
            self.answer.value = texts.answer("sending …", "", False)
        elif each.state == APPLIED:
            self.answer.value = texts.answer(each.text, _said(each.result), False)
        elif each.state == REFUSED:
            self.answer.value = texts.answer("refused", each.text, True)

    def so_far(self, pieces: Sequence[Any]) -> None:
        """Show what has come of an answer that comes in pieces."""
        self.answer.value = texts.answer("receiving …", _said(list(pieces)), False)


def _said(result: Any) -> str:
    if isinstance(result, bytes):
        return f"{len(result)} bytes"
    if isinstance(result, list) and result and all(isinstance(each, str) for each in result):
        text = "".join(result)
    else:
        text = result if isinstance(result, str) else json.dumps(result, indent=1, default=repr)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… ({len(text)} characters)"


def _control(field: Field) -> Any:
    about = {"description": field.label, "style": STYLE, "tooltip": field.description or None}
    if field.kind in (forms.CHOICE, forms.BOOLEAN):
        return _choice(field, about)
    if field.kind == forms.FILE:
        return ipywidgets.FileUpload(multiple=False, **about)
    if field.kind in (forms.INTEGER, forms.NUMBER) and field.start:
        made = ipywidgets.IntText if field.kind == forms.INTEGER else ipywidgets.FloatText
        return made(value=field.value(field.start), layout=WIDE, **about)
    if field.kind == forms.JSON:
        return ipywidgets.Textarea(value=field.start, layout=TALL, **about)
    placeholder = "" if field.required else LEFT_OUT
    return ipywidgets.Text(value=field.start, placeholder=placeholder, layout=WIDE, **about)


def _choice(field: Field, about: dict[str, Any]) -> Any:
    values = field.choices if field.kind == forms.CHOICE else (True, False)
    options = [(str(each), json.dumps(each)) for each in values]
    if not field.required:
        options = [(LEFT_OUT, ""), *options]
    start = field.start if field.start in [value for _, value in options] else options[0][1]
    return ipywidgets.Dropdown(options=options, value=start, layout=WIDE, **about)


def _read(field: Field, control: Any) -> Any:
    """What was filled in; `LEFT_OUT` for an optional field without anything in it."""
    if field.kind == forms.FILE:
        files = [(each["name"], bytes(each["content"])) for each in control.value]
        return files[0] if files else LEFT_OUT
    if isinstance(control.value, str):
        return LEFT_OUT if field.left_out(control.value) else field.value(control.value)
    return control.value
