"""What a function's own text compiles to, whatever else stands in its cell.

CPython compiles `math.sqrt(x)` in one way where `import math` stands in the same cell, and in
another way where it stands in an earlier one. Neither does anything else, so both have one shape.
"""

from __future__ import annotations

import dis
import functools
import hashlib
from collections.abc import Iterator
from types import CodeType

# They arrange the stack for a call, or mark a place; what is called, with what, stands elsewhere.
ARRANGING = {
    *("CACHE", "EXTENDED_ARG", "NOP", "NOT_TAKEN", "PRECALL", "PUSH_NULL", "RESUME"),
    *("COPY_FREE_VARS", "MAKE_CELL"),
}
METHOD_CALLS = {"LOAD_METHOD": "LOAD_ATTR"}  # 3.11's name for an attribute that is called
CONSTANTS = {"LOAD_CONST", "RETURN_CONST", "KW_NAMES"}
JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))


@functools.lru_cache(maxsize=16384)
def shape_of(code: CodeType) -> bytes:
    """Hash of what code does: its operations, with names and places for numbers and offsets.

    Args:
        code: of a function. What is nested in it is among its constants, which do not count here.
    """
    kept: list[dis.Instruction] = []
    places: dict[int, int] = {}
    for each in dis.get_instructions(code):
        places[each.offset] = len(kept)
        if each.opname not in ARRANGING:
            kept.append(each)
    places[len(code.co_code)] = len(kept)
    steps = [(METHOD_CALLS.get(each.opname, each.opname), _operand(each, places)) for each in kept]
    whole = repr((*steps, *_caught(code, places)))
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _operand(step: dis.Instruction, places: dict[int, int]) -> str:
    if step.opcode in JUMPS:
        return str(places[step.argval])
    if step.opname in CONSTANTS:
        return str(step.arg)  # the constants are compared by themselves
    return repr(step.argval)


def _caught(code: CodeType, places: dict[int, int]) -> Iterator[tuple[str, str]]:
    for each in dis._parse_exception_table(code):  # type: ignore[attr-defined]  # not public
        ends = (places[each.start], places[each.end], places[each.target])
        yield "caught", f"{ends} {each.lasti}"
