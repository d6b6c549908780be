"""The cell magic `%%deploy`: a cell that deploys what its last expression is."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from workbench.errors import PlanError

Deploy = Callable[..., Any]


def register(shell: Any, deploy: Deploy) -> None:
    """Teach an IPython shell the magic.

    Args:
        shell: the shell.
        deploy: what is called with the cell's last expression; `workbench.deploy`.
    """
    magic = _with_arguments(shell, deploy)
    shell.register_magic_function(magic, magic_kind="cell", magic_name="deploy")


def _with_arguments(shell: Any, deploy: Deploy) -> Any:
    from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

    @magic_arguments()
    @argument("name", nargs="?", help="application name; the target's own when left out")
    @argument("--route-prefix", help="path of the ingress, such as /rag")
    @argument("--note", default="", help="what to remember about this revision")
    @argument("--mode", default="auto", help="auto, swap or replace")
    @argument("--timeout-s", type=float, default=300.0, help="seconds until it is undone")
    @argument("--allow-downtime", action="store_true", help="stop the old replicas first")
    def deploy_magic(line: str, cell: str) -> Any:
        """Run the cell and deploy what its last expression is, such as a bound application."""
        asked = dict(vars(parse_argstring(deploy_magic, line)))
        note = asked.pop("note").strip("\"'")
        return deploy(last_value(shell, cell), note=note, **asked)

    return deploy_magic


def last_value(shell: Any, cell: str) -> Any:
    """Run a cell's text in the shell's namespace; returns the value of its last expression.

    Raises:
        PlanError: its last line is no expression.
    """
    text = "\n" + shell.transform_cell(cell)  # one line lower: the magic itself is the first
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body else None
    if not isinstance(last, ast.Expr):
        raise PlanError(
            "the cell does not end with what to deploy",
            "end it with an expression, such as RAGService.bind(llm) or app",
        )
    name = shell.compile.cache(text, shell.execution_count, raw_code=cell)
    # As the shell runs a cell: by its own compiler, which knows the notebook's `from __future__`
    # imports and not ours, and one statement at a time, or Python would write other bytecode.
    for each in tree.body:
        exec(shell.compile(ast.Module([each], []), name, "exec"), shell.user_ns)
    return eval(shell.compile(ast.Expression(last.value), name, "eval"), shell.user_ns)
