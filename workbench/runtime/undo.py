"""Undoes a revision that did not become healthy. What served before goes on serving, always."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.adapters.ray_store import CodeStore
from workbench.core.status import word

from . import rollout
from .exchange import Exchange
from .request import Live
from .rollout import UNDO_S, Good
from .serving import Serving


@dataclass
class Done:
    """How far a revision came.

    Attributes:
        exchanged: deployments whose replicas may have the new code.
        told: whether Serve may have been told of it.
    """

    exchanged: list[str] = field(default_factory=list)
    told: bool = False


@dataclass(frozen=True)
class Undone:
    """What serves after an undo.

    Attributes:
        serving: number of the revision, or None when none does or it is not known.
        state: the same in words, where the number alone does not tell it.
        problem: why the undo did not succeed, or "".
    """

    serving: int | None
    state: str = ""
    problem: str = ""


class Undo:
    """Takes back what a revision did.

    The release that served is put back where it is known. Where it is not, the replicas exchange
    back what they exchanged, and Serve keeps the old ones; nothing that ran is ever deleted.

    Args:
        app: application name.
        store: hands the code out.
        serving: Serve.
        live: what ran before.
        good: the release that served before, or None when it is not known.
    """

    def __init__(
        self, app: str, store: CodeStore, serving: Serving, live: Live, good: Good | None
    ) -> None:
        self._app, self._store, self._serving = app, store, serving
        self._live, self._good = live, good

    def run(self, done: Done) -> Undone:
        """Undo as much as can be; never raises but for an interrupt."""
        before = max((each.revision for each in self._live.generations.values()), default=None)
        try:
            return self._undone(done, before)
        except Exception as error:  # the cluster may be in any state: say it with what runs
            running = self._running()
            state = f"the undo failed too, and {running}"
            return Undone(before if self._live.serves else None, state, rollout.reason_of(error))

    def _undone(self, done: Done, before: int | None) -> Undone:
        if not self._live.serves and self._good is None:
            if done.told or done.exchanged:
                rollout.remove(self._app, self._serving)
                self._store.forget(self._app)
            return Undone(None)
        if self._good is None:
            if done.exchanged:
                self._store.revert(self._app)
            if done.told:
                return Undone(None, f"it is not known what to go back to, and {self._running()}")
            return Undone(before, "what served before still serves")
        back = {n: self._good.shipped[n] for n in done.exchanged if n in self._good.shipped}
        Exchange(self._store, self._app, back, UNDO_S, self._serving).run()
        if done.told:
            rollout.put_back(self._app, self._good, self._serving)
        self._store.settle(self._app, self._good.shipped)
        return Undone(self._good.number)

    def _running(self) -> str:
        try:
            deployments = self._serving.details().get(self._app, {}).get("deployments", {})
        except Exception as error:
            return f"what runs cannot be asked ({type(error).__name__})"
        replicas = [r for d in deployments.values() for r in d["replicas"]]
        running = sum(word(each["state"]) == "RUNNING" for each in replicas)
        return f"{running} of its replicas run"
