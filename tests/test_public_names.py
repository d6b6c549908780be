"""What `import workbench` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import workbench

PROMISED = {
    *("apps", "connect", "delete", "deploy", "model_path", "panel", "plan", "start", "stop"),
    "WorkbenchError",
}


def test_public_names_are_sorted_and_there() -> None:
    """`__all__` is the contract: sorted, complete, and every name can be had."""
    assert list(workbench.__all__) == sorted(workbench.__all__)
    assert set(workbench.__all__) >= PROMISED
    assert all(getattr(workbench, name) for name in workbench.__all__)


def test_importing_is_light() -> None:
    """Importing starts nothing and pulls neither Ray, torch nor widgets."""
    heavy = "[m for m in ('ray', 'torch', 'ipywidgets', 'transformers') if m in sys.modules]"
    code = f"import sys, workbench; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo must not look like a missing package."""
    assert not hasattr(workbench, "deplpy")
