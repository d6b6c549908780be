"""HTML tables of our values, for JupyterLab in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from workbench.core import knobs
from workbench.core.cluster import ClusterFacts
from workbench.core.knobs import Knobs
from workbench.core.metrics import HEAD, Sample, Series, cells, time_of_day
from workbench.core.plan import Plan
from workbench.core.revision import DeploymentDiff, Diff, Revision, Revisions
from workbench.core.status import AppStatus, DeploymentStatus, ProgressLine

MARKS = {
    "HEALTHY": "✔",
    "RUNNING": "✔",
    "ready": "✔",
    "starting": "…",
    "waiting": "⏳",
    "failed": "✘",
    "served": "✔",
    "pending": "…",
    "interrupted": "✘",
    "deleted": "–",
}
COLOURS = {"+": "--jp-success-color1", "-": "--jp-error-color1"}
VALUE = knobs.HEAD.index("value")
PRE = "margin:0;white-space:pre-wrap"
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
        facts.cpu_text,
        facts.gpu_text,
        link(facts.http_url, facts.http_url),
        facts.data_path,
        dashboard,
    ]
    return table(
        "Cluster", ["version", "nodes", "CPUs", "GPUs", "ingress", "data path", "dashboard"], [row]
    )


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


def revisions_table(revisions: Revisions) -> str:
    """The history of one application, newest first."""
    head = ["revision", "when", "outcome", "actions", "took", "kernel", "note"]
    rows = [_revision_row(each, each.number == revisions.serving) for each in reversed(revisions)]
    name = f" of {revisions[0].app}" if revisions else ""
    return table(f"Revisions{name}", head, rows)


def diff_html(diff: Diff) -> str:
    """What differs between two revisions: unified diffs, coloured, with their signs."""
    title = f"{escape(diff.app)}: revision {diff.a} → {diff.b}"
    named = [f"added: {name}" for name in diff.added]
    named += [f"removed: {name}" for name in diff.removed]
    parts = [f"<div>{escape(line)}</div>" for line in named]
    parts += [_deployment_diff(each) for each in diff.deployments]
    body = "".join(parts) or "<div>no difference</div>"
    colour = "color:var(--jp-content-font-color1)"
    return f'<div style="{colour}"><div style="font-weight:600">{title}</div>{body}</div>'


def knobs_table(found: Knobs) -> str:
    """What can be tuned, one row per knob; values that were set by `tune()` are bold."""
    rows = []
    for each in found:
        cells = list(map(escape, knobs.row(each)))
        if each.tuned:
            cells[VALUE] = f"<b>{cells[VALUE]}</b>"
        rows.append(cells)
    return table("Knobs", knobs.HEAD, rows)


def sample_table(sample: Sample) -> str:
    """Live figures over one second, one row per deployment."""
    rows = [list(map(escape, cells(name, each))) for name, each in sample.deployments.items()]
    return table(f"Metrics of {sample.app} at {time_of_day(sample.at_s)}", HEAD, rows)


def series_table(series: Series) -> str:
    """Live figures over some time, one row per second and deployment, newest first."""
    rows = [
        [time_of_day(sample.at_s), *map(escape, cells(name, each))]
        for sample in reversed(series)
        for name, each in sample.deployments.items()
    ]
    name = f" of {series[-1].app}" if series else ""
    return table(f"Metrics{name}, {len(series)} s", ["time", *HEAD], rows)


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
        f'<pre style="{PRE}">{escape(note)}</pre>' if note else "",
    ]


def _revision_row(each: Revision, serving: bool) -> list[str]:
    note = escape(each.note)
    if each.reason:
        why = f'<summary>why</summary><pre style="{PRE}">{escape(each.reason)}</pre>'
        note += f"<details>{why}</details>"
    return [
        str(each.number),
        datetime.fromtimestamp(each.created_s).strftime("%Y-%m-%d %H:%M:%S"),
        mark(each.outcome) + (", serving now" if serving else ""),
        escape(each.actions),
        "" if each.took_ms is None else f"{each.took_ms:.0f} ms",
        escape(each.kernel),
        note,
    ]


def _deployment_diff(each: DeploymentDiff) -> str:
    hidden = f"<div>{escape(each.hidden)}</div>" if each.hidden else ""
    return "".join(_coloured(lines) for lines in (each.source, each.options) if lines) + hidden


def _coloured(lines: Sequence[str]) -> str:
    """One unified diff; its first two lines are the names of the sides."""
    head = "".join(_line(line, "font-weight:600") for line in lines[:2])
    body = "".join(_line(line, _line_style(line)) for line in lines[2:])
    style = f"{PRE};padding:4px 0;color:inherit;font-family:var(--jp-code-font-family)"
    return f'<pre style="{style}">{head}{body}</pre>'


def _line_style(line: str) -> str:
    """A tint behind the theme's own text colour, so that it reads in light and dark alike."""
    colour = COLOURS.get(line[:1])
    if colour is None:
        faint = ";color:var(--jp-content-font-color2)" if line.startswith("@@") else ""
        return f"border-left:3px solid transparent{faint}"
    tint = f"color-mix(in srgb, var({colour}) 22%, transparent)"
    return f"border-left:3px solid var({colour});background:{tint}"


def _line(line: str, style: str) -> str:
    return f'<span style="display:block;padding-left:4px;{style}">{escape(line) or " "}</span>'
