"""What code does with one of its variables, such as a method with `self`.

The code is run symbolically: a stack of what is known of each value. Whatever is not understood
counts as giving the variable away, so that the answer errs on the safe side alone.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from types import CodeType

from .bytecode import ARRANGING
from .references import codes


@dataclass(frozen=True)
class Uses:
    """What becomes of a variable, apart from its attributes.

    Attributes:
        escapes: whether it is stored, returned, or passed to what is not known by a name.
        passed: calls that it is passed to: the dotted name of what is called, and the position or
            keyword of the argument.
    """

    escapes: bool = False
    passed: frozenset[tuple[str, int | str]] = frozenset()


@functools.lru_cache(maxsize=8192)
def uses_of(code: CodeType, name: str) -> Uses:
    """What code, and code nested in it, does with a variable.

    Args:
        code: of a function.
        name: of the variable.
    """
    found = [_Run(each, name).uses() for each in codes(code)]
    return Uses(
        any(each.escapes for each in found), frozenset().union(*(each.passed for each in found))
    )


@dataclass(frozen=True)
class _Value:
    """What is known of a value on the stack.

    Attributes:
        tainted: whether it is the variable, or holds it.
        name: dotted name by which it was reached from a global, or "".
        text: whether it is a text that stands in the code.
    """

    tainted: bool = False
    name: str = ""
    text: bool = False


OTHER, ITSELF = _Value(), _Value(tainted=True)
FORMATS = "str"  # the name under which a text that is made of the variable is noted
LOADS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF")
ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
STORES = {"STORE_FAST", "STORE_DEREF", "STORE_GLOBAL", "STORE_NAME", "RETURN_VALUE"}
BUILDS = {"BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_STRING"}
LOOKS_UP = {"getattr", "hasattr", "setattr", "delattr"}  # harmless with a name that is written out


class _Run:
    """One symbolic run over the instructions of a code object."""

    def __init__(self, code: CodeType, name: str) -> None:
        self._code, self._name = code, name
        self._cells = {*code.co_cellvars, *code.co_freevars}
        self._stack: list[_Value] = []
        self._keywords: tuple[str, ...] = ()
        self._escapes = False
        self._passed: set[tuple[str, int | str]] = set()

    def uses(self) -> Uses:
        if self._name not in {*self._code.co_varnames, *self._cells}:
            return Uses()
        for step in dis.get_instructions(self._code):
            if step.is_jump_target:
                self._forget()
            if step.opname not in ARRANGING:
                self._step(step)
            if self._escapes:
                return Uses(escapes=True)
        return Uses(passed=frozenset(self._passed))

    def _pop(self, count: int = 1) -> list[_Value]:
        """The uppermost values, the lowest of them first."""
        missing = max(0, count - len(self._stack))
        taken = [OTHER] * missing + self._stack[max(0, len(self._stack) - count) :]
        del self._stack[max(0, len(self._stack) - count) :]
        return taken if count else []

    def _push(self, *values: _Value) -> None:
        self._stack += values

    def _forget(self) -> None:
        """Go on without knowing the stack, as where another way through the code comes in."""
        self._lose(self._stack)
        self._stack.clear()

    def _lose(self, values: Iterable[_Value]) -> None:
        self._escapes |= any(each.tainted for each in values)

    def _step(self, step: dis.Instruction) -> None:
        kind = step.opname
        if kind.startswith((*LOADS, "STORE_FAST_")):
            self._local(step)
        elif kind in ("LOAD_GLOBAL", "LOAD_NAME"):
            self._push(_Value(name=step.argval))
        elif kind == "LOAD_CONST":
            self._push(_Value(text=isinstance(step.argval, str)))
        elif kind == "LOAD_CLOSURE":
            self._push(OTHER)  # the code that closes over it is looked at by itself
        elif kind in ATTRIBUTES:
            (base,) = self._pop()
            self._push(_Value(name=f"{base.name}.{step.argval}") if base.name else OTHER)
        elif kind == "LOAD_SUPER_ATTR":
            self._pop(3)
            self._push(OTHER)
        elif kind == "KW_NAMES":
            self._keywords = self._code.co_consts[step.arg or 0]
        elif kind in ("CALL", "CALL_KW"):
            self._call(step.arg or 0, kind == "CALL_KW")
        elif kind in STORES:
            self._lose(self._pop())
        elif kind in BUILDS:
            held = self._pop(step.arg or 0)
            text = kind == "BUILD_STRING"
            self._push(OTHER if text or not any(each.tainted for each in held) else ITSELF)
        else:
            self._rare(step)

    def _local(self, step: dis.Instruction) -> None:
        names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        for number, name in enumerate(names):
            if step.opname.startswith("STORE") and (number == 0 or "LOAD" not in step.opname):
                self._lose(self._pop())
            elif name == self._name and (name not in self._cells or "DEREF" in step.opname):
                self._push(ITSELF)
            else:
                self._push(OTHER)

    def _call(self, count: int, named: bool) -> None:
        keywords, self._keywords = self._keywords, ()
        if named:
            self._pop()  # the names of the keywords: which is which is not known here
        called, *given = self._pop(count + 1)
        self._lose([called])
        for place, each in enumerate(given):
            if not each.tainted:
                continue
            if not called.name or named or not self._is_plain_look_up(called, given, place):
                self._escapes = True
            first = len(given) - len(keywords)
            where = keywords[place - first] if place >= first else place
            self._passed.add((called.name, where))
        of_itself = called.name == "super" or (called.name == "type" and _tainted(given))
        self._push(ITSELF if of_itself else OTHER)

    def _is_plain_look_up(self, called: _Value, given: list[_Value], place: int) -> bool:
        if called.name not in LOOKS_UP:
            return True
        return place == 0 and len(given) > 1 and given[1].text

    def _rare(self, step: dis.Instruction) -> None:
        kind, count = step.opname, step.arg or 0
        if kind in ("POP_TOP", "DELETE_ATTR"):
            self._pop()
        elif kind == "STORE_ATTR":
            value, _ = self._pop(2)
            self._lose([value])
        elif kind == "IS_OP":
            self._pop(2)
            self._push(OTHER)
        elif kind in ("FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "CONVERT_VALUE"):
            with_spec = kind == "FORMAT_WITH_SPEC" or (kind == "FORMAT_VALUE" and count & 4)
            value, *spec = self._pop(2 if with_spec else 1)
            self._lose(spec)
            self._text_of([value])
            self._push(OTHER)
        elif kind in ("BINARY_OP", "COMPARE_OP", "CONTAINS_OP", "BINARY_SUBSCR"):
            left, right = self._pop(2)
            if left.text and step.argrepr.startswith("%"):
                self._text_of([right])
            else:
                self._lose([left, right])
            self._push(OTHER)
        elif kind == "MAKE_FUNCTION":
            more = 1 if _NEW_CLOSURES else 1 + bin(count).count("1")
            self._lose(self._pop(more))
            self._push(OTHER)
        elif kind == "SET_FUNCTION_ATTRIBUTE":
            self._lose(self._pop(2))
            self._push(OTHER)
        elif kind == "COPY":
            self._push(self._stack[-count] if len(self._stack) >= count else OTHER)
        elif kind == "SWAP" and len(self._stack) >= count:
            self._stack[-count], self._stack[-1] = self._stack[-1], self._stack[-count]
        else:
            self._forget()

    def _text_of(self, values: Iterable[_Value]) -> None:
        if _tainted(values):
            self._passed.add((FORMATS, 0))


_NEW_CLOSURES = "SET_FUNCTION_ATTRIBUTE" in dis.opmap  # since Python 3.13


def _tainted(values: Iterable[_Value]) -> bool:
    return any(each.tainted for each in values)
