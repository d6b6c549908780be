"""HTML tables of our values, for JupyterLab in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from workbench.core.cluster import ClusterFacts
from workbench.core.plan import Plan
from workbench.core.status import AppStatus, DeploymentStatus, ProgressLine

MARKS = {
    "HEALTHY": "✔",
    "RUNNING": "✔",
    "ready": "✔",
    "starting": "…",
    "waiting": "⏳",
    "failed": "✘",
}
CELL = "text-align:left;padding:0.3em 0.8em"  # inside a widget JupyterLab gives cells no room
CAPTION = (
    "caption-side:top;text-align:left;white-space:nowrap;font-weight:600;"
    "color:var(--jp-ui-font-color1)"
)


def cluster_table(facts: ClusterFacts) -> str:
    """The cluster in one row, with links."""
    dashboard = link(facts.dashboard_url, "dashboard") if facts.dashboard_url else "off"
    row = [
        f"Ray {facts.ray_version}",
        str(facts.nodes),
        f"{facts.num_cpus:g}",
        facts.gpu_text,
        link(facts.http_url, facts.http_url),
        dashboard,
    ]
    return table("Cluster", ["version", "nodes", "CPUs", "GPUs", "ingress", "dashboard"], [row])


def status_table(status: AppStatus) -> str:
    """One application: a caption and a row per deployment."""
    revision = f", revision {status.revision}" if status.revision is not None else ""
    where = f" at {link(status.url, status.url)}" if status.url else ""
    caption = f"{escape(status.name)}: {mark(status.state)}{revision}{where}"
    head = ["deployment", "state", "replicas", "each books", "note"]
    return table(caption, head, [_deployment_row(each) for each in status.deployments], raw=True)


def apps_table(statuses: Iterable[AppStatus]) -> str:
    """All applications, one row each."""
    rows = [
        [
            escape(each.name),
            mark(each.state),
            "" if each.revision is None else str(each.revision),
            link(each.url, each.route_prefix or "") if each.url else "",
            str(sum(d.replicas_running for d in each.deployments)),
        ]
        for each in statuses
    ]
    return table("Applications", ["name", "state", "revision", "route", "replicas"], rows)


def plan_table(plan: Plan) -> str:
    """What a deploy would do, one row per deployment."""
    rows = [[escape(a.deployment), escape(a.kind), escape(a.reason)] for a in plan.actions]
    caption = f"Plan for {escape(plan.app)} at {escape(plan.route_prefix)}"
    return table(caption, ["deployment", "action", "why"], rows, raw=True)


def progress_table(lines: Sequence[ProgressLine], caption: str = "Deploying") -> str:
    """A deploy under way, one row per deployment."""
    rows = [
        [
            escape(line.deployment),
            mark(line.state),
            f"{line.running}/{line.target}",
            f"{line.elapsed_s:.1f} s",
            escape(line.detail),
        ]
        for line in lines
    ]
    return table(caption, ["deployment", "state", "replicas", "time", "note"], rows)


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], raw: bool = False
) -> str:
    """An HTML table; cells are HTML already, the caption only when `raw`."""
    title = caption if raw else escape(caption)
    cells = "".join(f'<th scope="col" style="{CELL}">{escape(h)}</th>' for h in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{c}</td>' for c in row) + "</tr>" for row in rows
    )
    return (
        f'<table><caption style="{CAPTION}">{title}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    )


def mark(state: str) -> str:
    """A state with a sign before it, so that colour is not needed to read it."""
    sign = MARKS.get(state, "")
    return f"{sign} {escape(state)}".strip()


def link(url: str, text: str) -> str:
    """A link that opens beside the notebook."""
    return f'<a href="{escape(url, quote=True)}" target="_blank" rel="noopener">{escape(text)}</a>'


def _deployment_row(each: DeploymentStatus) -> list[str]:
    books = f"{each.num_cpus:g} CPU" + (f", {each.num_gpus:g} GPU" if each.num_gpus else "")
    note = each.waiting_for or each.message
    return [
        escape(each.name),
        mark(each.state),
        f"{each.replicas_running}/{each.replicas_target}",
        books,
        f'<pre style="margin:0;white-space:pre-wrap">{escape(note)}</pre>' if note else "",
    ]
