"""Runs the long form of every part, or of those that are named: `make conformance PARTS=flows`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from .tables import HERE, read

PARTS = sorted(path.parent.name for path in HERE.glob("*/__init__.py"))


def main(asked: list[str]) -> int:
    """Run the parts one after the other, the rest too where one fails, and print their tables."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        failed = [part for part in asked or PARTS if _run(part, file.name)]
        print("\n" + "\n".join(read(file.name)))
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


def _run(part: str, tables: str) -> int:
    folder = HERE.relative_to(Path.cwd()) / part if HERE.is_relative_to(Path.cwd()) else HERE / part
    print(f"\n== {part}", flush=True)
    command = [sys.executable, "-m", "pytest", str(folder), "--conformance", f"--tables={tables}"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
