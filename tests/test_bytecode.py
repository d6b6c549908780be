"""What code does is the same wherever it stands."""

from __future__ import annotations

from types import CodeType

import pytest

from workbench.core.bytecode import shape_of

USES = """
def f(values, limit=3):
    total = math.floor(limit)
    try:
        for value in values:
            total += math.sqrt(value) if value > limit else math.ceil(value)
            with open(os.path.join(str(value))) as file:
                total += len([json.dumps(line, indent=2) for line in file if math.isnan(limit)])
    except (ValueError, json.JSONDecodeError) as error:
        return math.inf, f"{error!r}"
    finally:
        os.getpid()
    return total
"""
IMPORTS = "import json, math, os\n"
EDITS = (
    ("math.floor", "math.ceil"),
    ("limit=2", "limit=4"),
    ("value > limit", "value >= limit"),
    ("total += math.sqrt", "total -= math.sqrt"),
    ("indent=2", "sort_keys=2"),
    ("json.JSONDecodeError", "KeyError"),
    ("os.getpid()", "os.getppid()"),
    ("if math.isnan(limit)", "if not math.isnan(limit)"),
    ("    finally:\n        os.getpid()\n", ""),
    ("return total", "return total, total"),
    ("for value in values", "for value in values[1:]"),
)


def code_of(text: str) -> CodeType:
    """The code of `f` in a cell."""
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(text, "<cell>", "exec", dont_inherit=True), names)
    return names["f"].__code__  # type: ignore[attr-defined, no-any-return]


def whole(code: CodeType) -> list[object]:
    """The shapes of code and of what is nested in it, with the constants."""
    nested = [c for c in code.co_consts if isinstance(c, CodeType)]
    constants = [c for c in code.co_consts if not isinstance(c, CodeType)]
    return [shape_of(code), repr(constants), code.co_names, *map(whole, nested)]


def test_imports_in_the_same_cell_change_nothing() -> None:
    """CPython compiles calls of what an import of the same text brought in by another way."""
    assert whole(code_of(IMPORTS + USES)) == whole(code_of(USES))


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_every_edit_is_seen(old: str, new: str) -> None:
    """What is left out of a shape says nothing about what code does."""
    old = {"limit=2": "limit=3"}.get(old, old)
    assert old in USES
    edited = USES.replace(old, new)

    changed = whole(code_of(edited)) != whole(code_of(USES))
    assert changed or "limit=" in old  # a default value stands in the function, not in its code
