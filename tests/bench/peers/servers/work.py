"""What every peer serves: the same functions of the same models."""

from __future__ import annotations

import asyncio
import base64
import io
import os
from collections.abc import AsyncIterator
from typing import Any

BATCH = 8
BATCH_WAIT_S = 0.01
NEW_TOKENS = 24
PIECES = 50
THREADS = int(os.environ.get("BENCH_THREADS") or os.cpu_count() or 1)


class Echo:
    """Give the texts back."""

    def __call__(self, texts: list[str]) -> list[Any]:
        return list(texts)


class Embed:
    """Mean-pooled, normalised MiniLM embeddings: n texts -> n lists of 384 floats."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        path = os.environ["BENCH_EMBEDDER"]
        torch.set_num_threads(THREADS)
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModel.from_pretrained(path).eval()

    def __call__(self, texts: list[str]) -> list[Any]:
        import torch

        with torch.inference_mode():
            encoded = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            hidden = self.model(**encoded).last_hidden_state
            mask = encoded.attention_mask.unsqueeze(-1).float()
            mean = (hidden * mask).sum(1) / mask.sum(1)
            return list(torch.nn.functional.normalize(mean, dim=1).tolist())


class Generate:
    """Greedy SmolLM2 continuations of `NEW_TOKENS` tokens: n prompts -> n texts."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = os.environ["BENCH_GENERATOR"]
        torch.set_num_threads(THREADS)
        self.tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token

    def __call__(self, texts: list[str]) -> list[Any]:
        import torch

        with torch.inference_mode():
            encoded = self.tokenizer(texts, padding=True, return_tensors="pt")
            tokens = self.model.generate(
                **encoded,
                do_sample=False,
                max_new_tokens=NEW_TOKENS,
                min_new_tokens=NEW_TOKENS,
                pad_token_id=self.tokenizer.pad_token_id,
            )
            new = tokens[:, encoded.input_ids.shape[1] :]
            return list(self.tokenizer.batch_decode(new, skip_special_tokens=True))


class Classify:
    """EfficientNet-Lite0 on JPEG photographs in base64: n pictures -> n labels."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForImageClassification

        torch.set_num_threads(THREADS)
        self.model = AutoModelForImageClassification.from_pretrained(
            os.environ["BENCH_CLASSIFIER"], trust_remote_code=True
        ).eval()

    def __call__(self, texts: list[str]) -> list[Any]:
        import torch

        with torch.inference_mode():
            pixels = torch.stack([self._pixels(base64.b64decode(text)) for text in texts])
            classes = self.model(pixel_values=pixels).logits.argmax(-1).tolist()
        return [self.model.config.id2label[each] for each in classes]

    def _pixels(self, image: bytes) -> Any:
        import numpy
        import torch
        from PIL import Image

        picture = Image.open(io.BytesIO(image)).convert("RGB").resize((224, 224))
        values = (numpy.asarray(picture, dtype=numpy.float32) - 127) / 128
        return torch.from_numpy(values).permute(2, 0, 1)


async def pieces(text: str) -> AsyncIterator[str]:
    """A stream of `PIECES` pieces, as a fast model would make it."""
    for number in range(PIECES):
        yield f"{text[number % len(text)]}\n"
        await asyncio.sleep(0)


WORK = {"echo": Echo, "embed": Embed, "generate": Generate, "images": Classify, "stream": Echo}
