"""The same workloads as Ray Serve applications, for raw Serve and for workbench.

Annotations are types here, not text: raw Serve loses them in the replica otherwise.
"""

import asyncio
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from ray import serve
from work import BATCH, BATCH_WAIT_S, WORK, pieces


class Text(BaseModel):
    text: str


class Result(BaseModel):
    result: str | list[float]


def application(workload: str) -> Any:
    """A bound application whose `/predict` does the workload."""
    known = {"echo": _echo, "hops": _hops, "stream": _stream}
    return known.get(workload, lambda: _model(workload))()


def _echo() -> Any:
    api = FastAPI()

    @serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})
    @serve.ingress(api)
    class Echo:
        @api.post("/predict")
        async def predict(self, item: Text) -> Result:
            return Result(result=item.text)

    return Echo.bind()


def _stream() -> Any:
    api = FastAPI()

    @serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})
    @serve.ingress(api)
    class Stream:
        @api.post("/predict")
        async def predict(self, item: Text) -> StreamingResponse:
            return StreamingResponse(pieces(item.text))

    return Stream.bind()


def _hops() -> Any:
    api = FastAPI()
    small = {"max_ongoing_requests": 100, "ray_actor_options": {"num_cpus": 0.1}}

    @serve.deployment(**small)
    class Lower:
        async def __call__(self, text: str) -> str:
            return text.lower()

    @serve.deployment(**small)
    class Words:
        @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.002)
        async def __call__(self, texts: list[str]) -> list[int]:
            return [len(text.split()) for text in texts]

    @serve.deployment(**small)
    class Mark:
        async def __call__(self, text: str, words: int) -> str:
            return f"{text} ({words})"

    @serve.deployment(**small)
    @serve.ingress(api)
    class Hops:
        def __init__(self, lower: Any, words: Any, mark: Any) -> None:
            self.lower, self.words, self.mark = lower, words, mark

        @api.post("/predict")
        async def predict(self, item: Text) -> Result:
            text = await self.lower.remote(item.text)
            words = await self.words.remote(text)
            return Result(result=await self.mark.remote(text, words))

    return Hops.bind(Lower.bind(), Words.bind(), Mark.bind())


def _model(workload: str) -> Any:
    api = FastAPI()

    @serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 1})
    @serve.ingress(api)
    class Model:
        def __init__(self, name: str) -> None:
            self.work = WORK[name]()

        @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=BATCH_WAIT_S)
        async def together(self, texts: list[str]) -> list[Any]:
            return await asyncio.to_thread(self.work, texts)

        @api.post("/predict")
        async def predict(self, item: Text) -> Result:
            return Result(result=await self.together(item.text))

    return Model.bind(workload)
