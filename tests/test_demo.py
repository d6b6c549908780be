"""What `make demo` says of the answers of a small model."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DEMO = runpy.run_path(str(Path(__file__).parent.parent / "notebooks" / "demo.py"))


class Service:
    """Answers every question with the same words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def stream(self, path: str, json: Any) -> Iterator[str]:
        """As the notebook's service does: tokens, then the passages."""
        yield from map(_event, self._words)
        yield _event(None)


def _event(token: str | None) -> str:
    sources = [{"doc": "faq/general", "score": 0.7, "text": "..."}]
    return json.dumps({"sources": sources} if token is None else {"token": token})


@pytest.mark.parametrize(("right", "wrong"), [("monty python", False), ("Guido", True)])
def test_a_wrong_answer_is_said_to_be_wrong(
    right: str, wrong: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is printed whole, with where it was found; a wrong one is never left alone."""
    DEMO["ask"](Service("It is", " Monty", " Python."), {"After whom?": right})

    said = capsys.readouterr().out
    assert "Q: After whom?\nA: It is Monty Python.\n" in said
    assert "from faq/general" in said
    assert ("This is wrong" in said) == wrong


def test_every_question_is_checked() -> None:
    """Each comes with what a right answer holds, so that no wrong one passes for right."""
    assert DEMO["QUESTIONS"]
    assert all(DEMO["QUESTIONS"].values())
