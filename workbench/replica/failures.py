"""The tracebacks of requests that failed, kept in the replica by request id.

They are handed out through Serve handles alone, which the cluster's token guards: an HTTP client
never sees them.
"""

from __future__ import annotations

import re
import traceback
from collections import OrderedDict
from collections.abc import Callable

KEPT = 200
FRAMEWORK = r"(?:ray|uvloop|starlette|fastapi|anyio|uvicorn|asyncio|concurrent|workbench/replica)/"
FRAME = re.compile(rf'  File "(?:[^"]*/)?{FRAMEWORK}[^"]*", line \d+, in .*\n(?:    .*\n)*')
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ADDRESS = re.compile(r" \(pid=\d+, ip=[^)]*\)")


class Failures:
    """The newest tracebacks by request id; older ones are dropped.

    Args:
        explain: adds notes to an error before its traceback is written.
    """

    def __init__(self, explain: Callable[[BaseException], None] = lambda error: None) -> None:
        self._explain = explain
        self._texts: OrderedDict[str, str] = OrderedDict()

    def record(self, request_id: str, error: BaseException) -> None:
        """Keep the traceback of `error` under `request_id`; under "" nobody asks for it."""
        self._explain(error)
        if not request_id:
            return
        self._texts[request_id] = traceback_text(error)
        while len(self._texts) > KEPT:
            self._texts.popitem(last=False)

    def text(self, request_id: str) -> str:
        """The traceback of that request, or "" when there is none."""
        return self._texts.get(request_id, "")


def traceback_text(error: BaseException) -> str:
    """Format an error as Python does, without the frames of Ray, FastAPI and what they use."""
    return without_framework("".join(traceback.format_exception(error)))


def without_framework(text: str) -> str:
    """Take the frameworks' frames, colours and process addresses out of a traceback.

    Args:
        text: a traceback as Python or Ray writes it, perhaps with another one inside.

    Returns:
        The same with the user's own frames; unchanged where it holds no other frames.
    """
    plain = COLOUR.sub("", text)
    return ADDRESS.sub("", FRAME.sub("", plain)).rstrip()
