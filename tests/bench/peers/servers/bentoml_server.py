"""BentoML, with batches of the same size; run by `bentoml serve`."""

import os
from collections.abc import AsyncGenerator
from typing import Any

import bentoml
from work import BATCH, WORK, pieces

WORKLOAD = os.environ["BENCH_WORKLOAD"]


@bentoml.service(workers=1, traffic={"timeout": 300})
class Service:
    """One workload."""

    def __init__(self) -> None:
        self.work = WORK[WORKLOAD]()

    if WORKLOAD == "echo":

        @bentoml.api
        async def predict(self, text: str) -> Any:
            return self.work([text])[0]

    elif WORKLOAD == "stream":

        @bentoml.api
        async def predict(self, text: str) -> AsyncGenerator[str, None]:
            async for piece in pieces(text):
                yield piece

    else:

        @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=60_000)
        def predict(self, text: list[str]) -> list[Any]:
            return self.work(text)
