"""What Ray or a bug of ours raises leaves our functions as an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import ClusterError, PlanError, WorkbenchError


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn every exception into one of the tree; for what has changed nothing yet.

    Args:
        what: the function that was called, such as "deploy".

    Raises:
        ClusterError: Ray or a connection failed.
        PlanError: anything else failed.
    """
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        said = f"{what} failed: {type(error).__name__}: {error}"
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "ray":
            advice = "`workbench doctor` looks at the cluster; what serves goes on"
            raise ClusterError(said, advice) from error
        advice = "nothing was changed; the error's __cause__ holds the traceback"
        raise PlanError(said, advice) from error
