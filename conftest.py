"""One cluster for the whole session: the tests and the notebooks' kernels attach to it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Shared machines are slow at times: how long an example takes says nothing about the code.
settings.register_profile("workbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("workbench")

HOME = Path(tempfile.mkdtemp(prefix="workbench-tests-"))
os.environ["WORKBENCH_HOME"] = str(HOME / "home")
os.environ["RAY_AUTH_TOKEN_PATH"] = str(HOME / "ray" / "auth_token")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # a bar is an output, where loading takes long
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
LEFT: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make conformance` asks for."""
    parser.addoption("--conformance", action="store_true", help="the long form of conformance too")
    parser.addoption("--tables", default="", help="file that conformance's tables are appended to")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long form of conformance out, unless it was asked for."""
    if not config.option.conformance:
        long = [each for each in items if each.get_closest_marker("conformance")]
        items[:] = [each for each in items if each not in long]
        config.hook.pytest_deselected(items=long)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the cluster when a collected test or notebook needs one."""
    needing = [each for each in session.items if _needs_cluster(each)]
    if not session.config.option.collectonly and needing:
        import workbench
        from workbench.adapters.processes import free_ports

        path = os.environ.get("WORKBENCH_TEST_DATA_PATH", "auto")
        port = free_ports(1)[0]
        real = all(each.get_closest_marker("gpu") for each in needing)
        gpus = None if real else 2  # real ones are counted, the others are simulated
        workbench.start(num_cpus=16, num_gpus=gpus, http_port=port, data_path=path)


def _needs_cluster(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("ray") or item.get_closest_marker("browser")
    return marked is not None or item.path.suffix == ".ipynb"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the cluster, and fail the session when anything of ours is left."""
    from workbench.adapters import processes, state

    content = state.read("cluster.json")
    if content is not None:
        import workbench

        before = processes.marked(content["cluster_id"])
        workbench.stop()
        LEFT.extend(str(each) for each in before if each.is_running())
        LEFT.extend(str(each) for each in processes.marked(content["cluster_id"]))
        LEFT.extend(filter(None, [processes.listener(content["http_port"])]))
        LEFT.extend(filter(os.path.exists, [content["temp_dir"]]))
    shutil.rmtree(HOME, ignore_errors=True)
    if LEFT:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left behind."""
    for each in LEFT:
        terminalreporter.write_line(f"left behind: {each}", red=True)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh application name; what was deployed under it is deleted afterwards."""
    import workbench

    chosen = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[-60:].strip("-")
    yield chosen
    if chosen in [each.name for each in workbench.apps()]:
        workbench.delete(chosen)
