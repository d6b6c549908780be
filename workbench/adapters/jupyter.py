"""Where the Jupyter server of this kernel answers, as its browser sees it."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

DASHBOARD = "ray-dashboard"  # name of the entry point in pyproject.toml


def base_path() -> str | None:
    """Path of the Jupyter server that started this kernel, such as "/user/ada/"; None without one.

    A server tells its own about itself in a file of its runtime folder, named by its process.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    for pid in (os.environ.get("JPY_PARENT_PID"), str(os.getppid())):
        try:
            told = json.loads((Path(jupyter_runtime_dir()) / f"jpserver-{pid}.json").read_text())
        except (OSError, ValueError):
            continue
        return str(told.get("base_url", "/"))
    return os.environ.get("JUPYTERHUB_SERVICE_PREFIX")


def proxied(url: str, base: str | None) -> str:
    """The address of a service of this machine through the Jupyter server; "" where it cannot be.

    Args:
        url: address on this machine.
        base: path of the Jupyter server, or None.
    """
    parts = urlsplit(url)
    if base is None or parts.port is None or find_spec("jupyter_server_proxy") is None:
        return ""
    return f"{base.rstrip('/')}/proxy/{parts.port}{parts.path}"


def dashboard(base: str | None) -> str:
    """The address of Ray's dashboard through the Jupyter server; "" where it cannot be."""
    if base is None or find_spec("jupyter_server_proxy") is None:
        return ""
    return f"{base.rstrip('/')}/{DASHBOARD}/"
