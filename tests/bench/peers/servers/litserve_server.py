"""LitServe, with batches of the same size and wait."""

import sys
from typing import Any

import litserve
from pydantic import BaseModel
from work import BATCH, BATCH_WAIT_S, PIECES, WORK


class Text(BaseModel):
    text: str


class Api(litserve.LitAPI):
    """Decodes a text, works on a batch of them."""

    def __init__(self, workload: str, **options: Any) -> None:
        super().__init__(**options)
        self.workload = workload

    def setup(self, device: str) -> None:
        self.work = WORK[self.workload]()

    def decode_request(self, request: Text) -> str:
        return request.text

    def predict(self, texts: Any) -> Any:
        return self.work(texts) if isinstance(texts, list) else self.work([texts])[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"result": output}


class Stream(litserve.LitAPI):
    """Streams pieces of a text."""

    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request: Text) -> str:
        return request.text

    def predict(self, text: str) -> Any:
        for number in range(PIECES):
            yield f"{text[number % len(text)]}\n"

    def encode_response(self, output: Any) -> Any:
        yield from output


if __name__ == "__main__":
    workload, port = sys.argv[1], int(sys.argv[2])
    batches = (
        {}
        if workload in ("echo", "stream")
        else {"max_batch_size": BATCH, "batch_timeout": BATCH_WAIT_S}
    )
    api = Stream(stream=True) if workload == "stream" else Api(workload, **batches)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")
