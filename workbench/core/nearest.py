"""What a mistyped name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(name: str, known: Iterable[str]) -> str:
    """Say which known names are near: "did you mean 'chat'? there are: chat, health"."""
    names = list(known)
    if not names:
        return "there are none"
    near = difflib.get_close_matches(str(name), names, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"there are: {', '.join(names)}"
