"""The public function for panels, apart from the others: widgets take time to import."""

from __future__ import annotations

import workbench.quick_import  # noqa: F401 - must come before anything that imports Ray
from workbench.core.charts import SECONDS
from workbench.runtime.app import App
from workbench.runtime.apps import connect
from workbench.runtime.figures import Figures
from workbench.ui.panel import Panel, place_of


def panel(app: App) -> Panel:
    """A panel of an application: live charts, a control for every knob, revisions, logs, a form.

    It looks and acts from threads of its own, so cells may run meanwhile. What is set in it holds
    as after `app.tune()`.

    Args:
        app: the application.

    Returns:
        The panel, which shows itself; `close()` ends it.

    Raises:
        PlanError: the application does not run.
        ClusterError: no cluster can be reached.
    """
    own = connect(app.name)  # its own, whose rollbacks write into no cell
    return Panel(own, Figures(own.name, SECONDS).read, place_of(own))
