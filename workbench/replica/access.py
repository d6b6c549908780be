"""Serve's log record of each request, made where a log takes it.

Where no access log is written, which is so unless a deployment asks for one, Serve makes a record
of each request all the same, and filters it.
"""

from __future__ import annotations

from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
from ray.serve._private import replica as serves
from ray.serve._private.logging_utils import log_access_log_filter

MARK = "serve_access_log"

# --- end of private names


class Wanted:
    """Stands for Serve's logger where requests are logged: passes on what a handler wants.

    Args:
        logger: Serve's; its handlers change with a deployment's `logging_config`.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def info(self, message: str, *args: Any, **options: Any) -> None:
        """Log it, unless it is a request's record and every handler filters those."""
        if not (options.get("extra") or {}).get(MARK) or self._is_taken():
            self._logger.info(message, *args, stacklevel=2, **options)

    def _is_taken(self) -> bool:
        return any(log_access_log_filter not in each.filters for each in self._logger.handlers)


def install() -> None:
    """Make no records that nobody takes, in this replica from now on."""
    serves.logger = Wanted(serves.logger)
