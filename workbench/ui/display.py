"""Rich forms of our values in IPython, registered with its formatters."""

from __future__ import annotations

import sys
from typing import Any

from workbench.core.knobs import Knobs
from workbench.core.metrics import Sample, Series
from workbench.core.plan import Plan
from workbench.core.revision import Diff, Revisions
from workbench.core.status import AppStatus
from workbench.errors import WorkbenchError
from workbench.runtime.app import App
from workbench.runtime.apps import Apps
from workbench.runtime.cluster import Cluster

from . import tables


def shell() -> Any:
    """The IPython shell of this process, or None."""
    if "IPython" not in sys.modules:
        return None
    return sys.modules["IPython"].get_ipython()


def in_notebook() -> bool:
    """Whether cells of a Jupyter front end run here."""
    return type(shell()).__name__ == "ZMQInteractiveShell"


def register() -> None:
    """Teach IPython our HTML forms, and to show our errors without our own frames."""
    ip = shell()
    if ip is None:
        return
    html = ip.display_formatter.formatters["text/html"]
    html.for_type(Cluster, lambda cluster: tables.cluster_table(cluster.facts))
    html.for_type(AppStatus, tables.status_table)
    html.for_type(Apps, tables.apps_table)
    html.for_type(Plan, tables.plan_table)
    html.for_type(Revisions, tables.revisions_table)
    html.for_type(Diff, tables.diff_html)
    html.for_type(Knobs, tables.knobs_table)
    html.for_type(Sample, tables.sample_table)
    html.for_type(Series, tables.series_table)
    html.for_type(App, _app_html)
    ip.set_custom_exc((WorkbenchError,), _show_error)


def _app_html(app: App) -> str:
    return (
        f"{tables.link(app.url, app.name)} · {tables.link(app.docs_url, 'docs')} · "
        f"<code>{app.route_prefix}</code>"
    )


def _show_error(
    ip: Any, kind: type[WorkbenchError], error: WorkbenchError, trace: Any, tb_offset: Any = None
) -> list[str]:
    """Show what went wrong, where in the cell, and nothing of this package's inside."""
    where = ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "ipykernel" in name or name.startswith("<ipython"):
            where = f" in line {trace.tb_lineno} of this cell"
        trace = trace.tb_next
    lines = [f"{kind.__name__}{where}: {error}"]
    ip._showtraceback(kind, error, lines)
    return lines
