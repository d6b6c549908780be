"""A kernel as JupyterLab starts one: cells are run in it, and what they show is read."""

from __future__ import annotations

import os
import queue
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STARTS_S = 120.0


class CellError(AssertionError):
    """A cell raised; the message is its traceback."""


@dataclass
class Output:
    """What one run of a cell showed.

    Attributes:
        printed: what it wrote, both streams.
        shown: MIME bundles in their order; a later one of the same display has replaced its first.
        error: the traceback without colours, or "".
    """

    printed: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    _places: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All that can be read as plain text."""
        return "\n".join([self.printed, *(str(s.get("text/plain", "")) for s in self.shown)])

    @property
    def html(self) -> str:
        """All that is shown as HTML."""
        return "\n".join(str(s["text/html"]) for s in self.shown if "text/html" in s)

    def take(self, message: dict[str, Any]) -> None:
        """Read one message of the kernel."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self.printed += content["text"]
        elif kind == "error":
            self.error = COLOURS.sub("", "\n".join(content["traceback"]))
        elif kind in ("execute_result", "display_data", "update_display_data"):
            name = content.get("transient", {}).get("display_id", "")
            if name in self._places:
                self.shown[self._places[name]] = content["data"]
            elif kind != "update_display_data":
                if name:
                    self._places[name] = len(self.shown)
                self.shown.append(content["data"])


class Kernel:
    """The kernel of one notebook. Use it as a context manager.

    Args:
        notebook: path of the notebook; its folder is where the kernel runs.
        environment: variables that it gets beside this process's own.
    """

    def __init__(self, notebook: Path, **environment: str) -> None:
        self._notebook, self._more = notebook, environment
        self._manager = KernelManager(kernel_name="python3")
        self._client: Any = None

    def __enter__(self) -> Kernel:
        self._notebook.parent.mkdir(parents=True, exist_ok=True)
        root = str(Path(__file__).parent.parent)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            "JPY_SESSION_NAME": str(self._notebook),  # as JupyterLab's server sets it
            **self._more,
        }
        self._manager.kernel_spec.argv[0] = sys.executable
        self._manager.start_kernel(cwd=str(self._notebook.parent), env=environment)
        self._connect()
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _connect(self) -> None:
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=STARTS_S)

    def run(self, text: str, timeout_s: float = 180.0) -> Output:
        """Run a cell, and wait for its end.

        Raises:
            CellError: the cell raised.
        """
        output = self.wait(self.begin(text), timeout_s)
        if output.error:
            raise CellError(output.error)
        return output

    def failing(self, text: str, timeout_s: float = 180.0) -> Output:
        """Run a cell that raises; its traceback is in the output's `error`."""
        output = self.wait(self.begin(text), timeout_s)
        assert output.error, f"the cell did not raise, and showed {output.text!r}"
        return output

    def begin(self, text: str) -> str:
        """Run a cell, and go on; what is returned is for `wait`."""
        return str(self._client.execute(text))

    def wait(self, begun: str, timeout_s: float = 180.0) -> Output:
        """Wait for the end of a cell, and read all that it showed."""
        output, until = Output(), time.monotonic() + timeout_s
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=max(0.1, until - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"the cell still runs, and showed {output.text!r}") from None
            if message["parent_header"].get("msg_id") != begun:
                continue
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    return output
            else:
                output.take(message)

    def interrupt(self) -> None:
        """The stop button."""
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        """Restart the kernel; nothing that its cells defined is left."""
        self._client.stop_channels()
        self._manager.restart_kernel(now=True)
        self._connect()
