"""The panel's pieces of HTML. Whatever comes from users and replicas is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from workbench.core import wishes
from workbench.core.charts import Chart, Mark
from workbench.core.knobs import Knobs
from workbench.core.metrics import DeploymentSample, Sample
from workbench.core.revision import PENDING, Revision, Revisions
from workbench.core.status import AppStatus, DeploymentStatus
from workbench.core.wishes import APPLIED, APPLYING, REFUSED, Report

from . import tables

SIGNS = {wishes.PENDING: "…", APPLYING: "⏳", APPLIED: "✔", REFUSED: "✘"}
MIB, GIB = 2**20, 2**30


def head(name: str, status: AppStatus | None, links: Mapping[str, str], problem: str) -> str:
    """The panel's first line: name, state and links; what could not be read below it."""
    state = tables.mark(status.state) if status is not None else "✘ unknown"
    linked = " · ".join(tables.link(url, text) for text, url in links.items())
    line = f"<b>{escape(name)}</b> {state} · {linked}"
    return line + (f'<pre class="wb-pre wb-bad">{escape(problem)}</pre>' if problem else "")


def revision_line(revisions: Revisions) -> str:
    """Which revision serves, and what it did."""
    found = [each for each in revisions if each.number == revisions.serving]
    if not found:
        return '<span class="wb-muted">no revision of this folder serves</span>'
    each = found[0]
    took = "" if each.took_ms is None else f" · {each.took_ms:.0f} ms"
    note = f" · {escape(' '.join(each.note.split()))}" if each.note else ""
    line = f"revision <b>{each.number}</b> serves · {escape(each.actions)}{took}{note}"
    newest = revisions[-1]
    return line + (_later(newest) if newest.number > each.number else "")


def _later(each: Revision) -> str:
    """A revision that came after the one that serves: under way, or failed."""
    if each.outcome == PENDING:
        return f'<div class="wb-muted">revision {each.number} is on its way</div>'
    lines = each.reason.strip().splitlines()
    why = f": {escape(lines[-1])}" if lines else ""
    return f'<div class="wb-bad">revision {each.number} {escape(each.outcome)}{why}</div>'


def revision_choice(each: Revision) -> str:
    """One revision in the list of those to go back to."""
    note = " ".join(each.note.split()) or each.actions
    return f"{each.number}: {note[:60]}"


def card_head(each: DeploymentStatus, gpus: float, simulated: bool) -> str:
    """A deployment's state, replicas and what it books."""
    revision = "" if each.revision is None else f" · code of revision {each.revision}"
    starting = f", {each.replicas_starting} starting" if each.replicas_starting else ""
    line = (
        f"<b>{escape(each.name)}</b> {tables.mark(each.state)} · "
        f"{each.replicas_running}/{each.replicas_target} replicas{starting}{revision}"
    )
    why = each.waiting_for or each.message
    line += f'<div class="wb-said wb-bad">{escape(why)}</div>' if why else ""
    return line + _booked(each, gpus, simulated)


def _booked(each: DeploymentStatus, gpus: float, simulated: bool) -> str:
    cpus = f"{each.num_cpus * each.replicas_running:g} CPU"
    if not each.num_gpus:
        return f'<div class="wb-muted">books {cpus}, no GPU</div>'
    booked = each.num_gpus * each.replicas_running
    said = f"books {cpus} and {booked:g} of {gpus:g} GPU" + (" (simulated)" if simulated else "")
    return f"<div>{_bar(booked / gpus if gpus else 0.0, said)} {said}</div>"


def used(sample: DeploymentSample | None, each: DeploymentStatus, simulated: bool) -> str:
    """How busy the booked GPUs are, and the memory held on them; "" without a GPU."""
    if not each.num_gpus:
        return ""
    if simulated:
        return '<div class="wb-muted">GPU use: none to measure, the GPUs are simulated</div>'
    replicas = sample.replicas if sample is not None else ()
    busy = [r.gpu_percent for r in replicas if r.gpu_percent is not None]
    held = [r.gpu_memory_bytes for r in replicas if r.gpu_memory_bytes is not None]
    if not busy and not held:
        return '<div class="wb-muted">GPU use: not known yet</div>'
    mean = sum(busy) / len(busy) if busy else 0.0
    said = f"GPU {mean:.0f} % busy, {sum(held) / GIB:.1f} GiB held"
    return f"<div>{_bar(mean / 100, said, 'wb-used')} {said}</div>"


def _bar(share: float, said: str, kind: str = "") -> str:
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        f'<span class="wb-bar {kind}" role="img" aria-label="{escape(said)}">'
        f'<i style="width:{width:.0f}%"></i></span>'
    )


def report(each: Report) -> str:
    """How a wish stands, in a line that screen readers say."""
    bad = " wb-bad" if each.state == REFUSED else ""
    text = f" {escape(each.text)}" if each.text else ""
    joint = ":" if each.state == REFUSED and text else ""
    said = f"{SIGNS[each.state]} {each.state}{joint}{text}"
    return f'<div class="wb-said{bad}" role="status" data-state="{each.state}">{said}</div>'


def elsewhere(revision: int | None) -> str:
    """Said beside a knob whose value came with a revision, from a cell or another kernel."""
    said = f"changed by revision {revision}"
    return f'<div class="wb-said wb-muted" role="status" data-state="elsewhere">{said}</div>'


def figures(sample: Sample | None) -> str:
    """The newest figures of every deployment."""
    if sample is None:
        return '<span class="wb-muted">no figures yet</span>'
    names = ("", "req/s", "p50", "p95", "p99", "in work", "waiting", "batch", "CPU %", "MiB")
    top = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(_row(name, each) for name, each in sample.deployments.items())
    return f'<table class="wb-now"><tr>{top}</tr>{rows}</table>'


def _row(name: str, each: DeploymentSample) -> str:
    cpu = sum(r.cpu_percent for r in each.replicas)
    memory = sum(r.memory_bytes for r in each.replicas) / MIB
    values = (each.p50_ms, each.p95_ms, each.p99_ms)
    cells = [f"{each.requests_per_s:.1f}", *(_short(v) for v in values), str(each.ongoing)]
    cells += [str(each.queued), _short(each.batch_size), f"{cpu:.0f}", f"{memory:.0f}"]
    return f"<tr><th>{escape(name)}</th>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def legend(chart: Chart) -> str:
    """A chart's title and what each of its lines is, by colour and dash pattern."""
    keys = "".join(
        f'<svg width="30" height="8" aria-hidden="true"><line class="wb-l{i}" x1="4" y1="4" '
        f'x2="28" y2="4"/></svg> {label} '
        for i, (_, label) in enumerate(chart.lines)
    )
    return f'<span class="wb-legend"><b>{chart.title}</b> {keys}</span>'


def changes(marks: Sequence[Mark]) -> str:
    """The marks of the charts in words, newest first."""
    if not marks:
        return '<span class="wb-muted wb-legend">no change in the last two minutes</span>'
    lines = "".join(f"<li>{escape(each.text)}</li>" for each in reversed(marks[-4:]))
    return f'<ul class="wb-legend" style="margin:0;padding-left:18px">{lines}</ul>'


def log_lines(lines: Iterable[str], longest: int = 240) -> str:
    """Lines of replicas; scrolled to the newest."""
    cut = (line if len(line) <= longest else f"{line[:longest]} …" for line in lines)
    text = escape("\n".join(cut)) or "no lines yet"
    return f'<div class="wb-tail" tabindex="0"><pre class="wb-pre">{text}</pre></div>'


def answer(line: str, text: str, bad: bool) -> str:
    """What the service answered to the form."""
    kind = " wb-bad" if bad else ""
    body = f'<pre class="wb-pre" tabindex="0">{escape(text)}</pre>' if text else ""
    return f'<div role="status" class="wb-said{kind}">{escape(line)}</div>{body}'


def summary(text: str) -> str:
    """What an operation does: the first paragraph of its description."""
    return f'<div class="wb-muted">{escape(text.strip().partition(chr(10) * 2)[0])}</div>'


def static(name: str, knobs: Knobs) -> str:
    """The panel where no widget can be shown, such as a saved notebook: the knobs in a table."""
    rows = [
        [escape(k.deployment), escape(k.name), "–" if k.value is None else escape(str(k.value))]
        for k in knobs
    ]
    return tables.table(f"Panel of {name}", ["deployment", "knob", "value"], rows)
