"""Bare uvicorn and FastAPI, without batching."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from work import WORK, pieces

app = FastAPI()


class Text(BaseModel):
    text: str


class Result(BaseModel):
    result: str | list[float]


def main(workload: str, port: int) -> None:
    """Serve one workload."""
    work = WORK[workload]()
    if workload == "echo":

        @app.post("/predict")
        async def echo(item: Text) -> Result:
            return Result(result=work([item.text])[0])

    elif workload == "stream":

        @app.post("/predict")
        async def stream(item: Text) -> StreamingResponse:
            return StreamingResponse(pieces(item.text))

    else:

        @app.post("/predict")
        def predict(item: Text) -> Result:
            return Result(result=work([item.text])[0])

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
