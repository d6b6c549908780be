"""What can go wrong, as one tree.

WorkbenchError
├── DeployError        a revision did not become healthy; carries the replica's traceback
├── IngressError       a request to an ingress failed; carries the replica's traceback
└── AdvisedError       a problem and what to do about it
    ├── PlanError      what was asked cannot be done: a bad target, name, option or graph
    │   ├── TuneError  a knob was refused
    │   └── UnknownOperation  `app.call` has no operation of that name; an AttributeError too
    ├── CapacityError  the cluster has too few CPUs, GPUs or too little memory for what was asked
    ├── ClusterError   the cluster cannot be started, reached or trusted
    └── ModelError     a model package is missing, damaged or cannot be fetched

Each message says what was wrong, with which value, and what to do about it. Every error keeps
its fields through pickling.
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """Root of every error that this package raises on purpose."""


class AdvisedError(WorkbenchError):
    """A problem and what to do about it.

    Attributes:
        problem: what is wrong, with the value.
        advice: the command or call that mends it.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem, advice)
        self.problem, self.advice = problem, advice

    def __str__(self) -> str:
        return _joined(self.problem, self.advice)


class PlanError(AdvisedError):
    """The request itself is wrong; nothing was changed."""


class UnknownOperation(PlanError, AttributeError):
    """`app.call` has no operation of that name."""


class TuneError(PlanError):
    """A knob was refused; nothing was changed."""


class CapacityError(AdvisedError):
    """The cluster cannot hold what was asked; the problem is the arithmetic."""


class ClusterError(AdvisedError):
    """The cluster cannot be started, reached or trusted."""


class ModelError(AdvisedError):
    """A model package is missing, damaged or cannot be fetched."""


class DeployError(WorkbenchError):
    """Revision `revision` of `app` did not become healthy; `serving` still answers.

    Attributes:
        app: application name.
        revision: number of the revision that failed.
        serving: number of the revision that answers now, or None.
        reason: the replica's traceback, cell lines resolved, or what happened instead.
        advice: what to do.
        state: what serves now, where the number alone does not tell it.
    """

    def __init__(
        self,
        app: str,
        revision: int,
        serving: int | None,
        reason: str,
        advice: str = "",
        state: str = "",
    ) -> None:
        super().__init__(app, revision, serving, reason, advice, state)
        self.app, self.revision, self.serving = app, revision, serving
        self.reason, self.advice, self.state = reason, advice, state

    def __str__(self) -> str:
        state = self.state or (
            f"revision {self.serving} still serves"
            if self.serving is not None
            else "nothing of it serves"
        )
        head = f"{self.app!r} revision {self.revision} did not become healthy; {state}."
        return _joined(f"{head}\n{self.reason}", self.advice)


class IngressError(WorkbenchError):
    """A request to an ingress failed.

    Attributes:
        problem: method, URL and what came back.
        status: HTTP status code, or None when no answer came.
        body: the answer's text, shortened.
        reason: the replica's traceback, cell lines resolved, or "".
        advice: what to do.
    """

    def __init__(
        self,
        problem: str,
        status: int | None = None,
        body: str = "",
        reason: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(problem, status, body, reason, advice)
        self.problem, self.status, self.body = problem, status, body
        self.reason, self.advice = reason, advice

    def __str__(self) -> str:
        text = "\n".join(part for part in (self.problem, self.reason or self.body) if part)
        return _joined(text, self.advice)


def _joined(problem: str, advice: str) -> str:
    return f"{problem}\nhelp: {advice}" if advice else problem
