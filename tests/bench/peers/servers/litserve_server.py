"""LitServe, with batches of the same size and wait."""

import sys
from typing import Any

import litserve
from pydantic import BaseModel
from work import BATCH, BATCH_WAIT_S, WORK


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


if __name__ == "__main__":
    workload, port = sys.argv[1], int(sys.argv[2])
    batches = {} if workload == "echo" else {"max_batch_size": BATCH, "batch_timeout": BATCH_WAIT_S}
    server = litserve.LitServer(Api(workload, **batches), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")
