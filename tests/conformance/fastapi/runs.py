"""Runs FastAPI's tests, in their own process and against the deployed application, and compares."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import sources

HERE = Path(__file__).parent
INSIDE = HERE / "inside"
LEFT_OUT = ("benchmarks", "memory_benchmarks", "test_telemetry")  # measure, and need services
TIMEOUT_S = 3000


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What became of the tests that pass in FastAPI's own process.

    Attributes:
        baseline: how many passed there and called a deployed application here.
        equal: how many of them passed here too.
        legitimate: ids that differ and are listed with a reason.
        wrong: ids that differ and are not, each with the last line of its error.
        needless: ids that are listed and do not differ.
    """

    baseline: int
    equal: int
    legitimate: tuple[str, ...]
    wrong: dict[str, str]
    needless: tuple[str, ...]


def files() -> list[str]:
    """FastAPI's test files, below its `tests`."""
    sources.prepare()
    found = sources.ROOT.glob("tests/**/test_*.py")
    names = (path.relative_to(sources.ROOT).as_posix() for path in found)
    return sorted(name for name in names if name.split("/")[1] not in LEFT_OUT)


def legitimate() -> dict[str, str]:
    """The tests that may differ, each with its reason."""
    listed = json.loads((HERE / "legitimate.json").read_text())
    return {test: reason for reason, tests in listed.items() for test in tests}


def compared(names: Sequence[str]) -> Comparison:
    """Run some of FastAPI's test files both ways."""
    sources.prepare()
    known = legitimate()
    before, after = _outcomes(names, "baseline"), _outcomes(names, "auto")
    called = {t for t, (_, reached, _) in after.items() if reached}
    base = [t for t, (outcome, _, _) in before.items() if outcome == "passed" and t in called]
    differ = {t: after[t][2] for t in base if after[t][0] != "passed"}
    return Comparison(
        baseline=len(base),
        equal=len(base) - len(differ),
        legitimate=tuple(t for t in differ if t in known),
        wrong={t: error for t, error in differ.items() if t not in known},
        needless=tuple(t for t in base if t in known and t not in differ),
    )


def _outcomes(names: Iterable[str], mode: str) -> dict[str, tuple[str, bool, str]]:
    """Outcome, whether the deployed application was called, and the error's last line."""
    repository = HERE.parents[2]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        paths = (INSIDE, repository, sources.SITE)
        environment = {
            **os.environ,
            "CONFORMANCE_MODE": mode,
            "CONFORMANCE_RESULTS": str(results),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }
        command = [sys.executable, "-m", "pytest", "-c", str(INSIDE / "pytest.ini"), "-q"]
        command += ["--rootdir", str(sources.ROOT), "-p", "served", *names]
        done = subprocess.run(
            command,
            cwd=sources.ROOT,
            env=environment,
            timeout=TIMEOUT_S,
            capture_output=True,
            text=True,
            check=False,
        )
        if not results.exists():
            raise RuntimeError(f"FastAPI's tests did not run:\n{done.stdout}\n{done.stderr}")
        rows = map(json.loads, results.read_text().splitlines())
        found: dict[str, tuple[str, bool, str]] = {}
        for row in rows:  # a tear-down that fails comes after the call
            if found.get(row["id"], ("passed", False, ""))[0] == "passed":
                said = [line for line in row["error"].splitlines() if line.strip()]
                found[row["id"]] = row["outcome"], row["reached"], said[-1] if said else ""
        return found
