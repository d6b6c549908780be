"""The files around the package stay in step."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from nbval.plugin import get_sanitize_patterns
from packaging.requirements import Requirement

import workbench

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = (
    "ray",
    "fastapi",
    "jupyterlab",
    "ipywidgets",
    "jupyter-server-proxy",
    "torch",
    "transformers",
    "chromadb",
    "pytest",
    "nbval",
)


def _declared() -> dict[str, Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return {Requirement(line).name: Requirement(line) for line in lines}


def test_the_conda_environment_is_in_step() -> None:
    """environment.yml installs this project with every extra, and names only what it declares."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(each["pip"] for each in listed if isinstance(each, dict))
    extras = ",".join(PROJECT["optional-dependencies"])
    named = {Requirement(line).name for line in pip if not line.startswith("-")}

    assert f"-e .[{extras}]" in pip
    assert "-c constraints.txt" in pip
    assert named == set(ASKED)
    assert set(ASKED) <= set(_declared())
    assert f"python{PROJECT['requires-python']}" in listed


def test_the_distribution_and_the_package_have_their_names_and_one_version() -> None:
    """Another project has the name workbench on PyPI; what is imported keeps it."""
    assert PROJECT["name"] == "serve-workbench"
    assert PROJECT["scripts"] == {"workbench": "workbench.cli:main"}
    assert PROJECT["version"] == workbench.__version__


def test_the_constraints_pin_every_dependency_within_its_range() -> None:
    """A machine that installs tomorrow gets what was tested today."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}

    for name, requirement in _declared().items():
        pinned = pins[re.sub(r"[-_.]+", "-", name).lower()]
        assert requirement.specifier.contains(pinned), f"{name}=={pinned}"
    assert pins["torch"] == "2.13.0"


def test_importing_ray_compiles_no_grammar() -> None:
    """Every process of a cluster imports Ray: what JupyterLab brings along must not slow that."""
    code = "import ray, sys; print({'lark', 'rfc3987_syntax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_are_lessons_with_outputs(path: Path) -> None:
    """A notebook begins with prose, carries its outputs, and no error."""
    cells = json.loads(path.read_text())["cells"]
    outputs = [o for c in cells if c["cell_type"] == "code" for o in c["outputs"]]

    assert cells[0]["cell_type"] == "markdown"
    assert outputs
    assert not [o for o in outputs if o["output_type"] == "error"]


def test_data_carries_its_licences() -> None:
    """What others made says who and under which terms."""
    assert (ROOT / "data/pydocs/LICENSE.txt").is_file()
    for folder in ("pydocs", "sentiment", "photos"):
        assert (ROOT / "data" / folder / "README.md").is_file()


def test_each_security_promise_names_a_test_that_exists() -> None:
    """What SECURITY.md promises is held by what it names."""
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text())

    assert len(named) >= 8
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file}::{test}"


def test_sanitizing_takes_out_what_varies() -> None:
    """Nbval reads "replace: " with its trailing space only; an editor may strip it."""
    pairs = get_sanitize_patterns((ROOT / "notebooks" / "sanitize.cfg").read_text())
    text = "\x1b[33m(raylet)\x1b[0m WARNING: 8 workers\nrag revision 4 deployed again\n"
    text += "rag revision 5 serves\n  LLM: swap in 38 ms\n"
    text += "rag: revision 9 → 10\n--- LLM (revision 9)\n"
    for regex, replacement in pairs:
        text = re.sub(regex, replacement, text)

    assert len(pairs) == 8
    assert text == (
        "rag revision N deployed\nrag revision N serves\n  LLM: swap in N ms\n"
        "rag: revision N, M\n--- LLM (revision N)\n"
    )
