"""What is exported adds to other programs' weights what the adapter adds to ours."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from tests.adapters.test_lora import CONFIG, model, train_a_little

pytestmark = pytest.mark.filterwarnings("ignore")

# what ComfyUI's generic loader looks for in a model whose keys are diffusion_model.<ours>
GOLDEN = [
    f"diffusion_model.block.layers.{layer}.{part}.{end}"
    for layer in range(CONFIG.num_layers)
    for part in (
        "attention.linear_proj",
        "attention.linear_qkv",
        "mlp.down_proj",
        "mlp.up_gate_proj",
    )
    for end in ("alpha", "lora_A.weight", "lora_B.weight")
]


@pytest.fixture
def adapter(tmp_path):
    """The file of a trained adapter of all tokens, and what it adds to each weight."""
    from horsekit.adapters.lora import add_lora, merge_lora, save_adapter

    built, bare = model(), model()
    add_lora(built, 2, 6, "all")
    train_a_little(built)
    save_adapter(built, tmp_path / "a.safetensors", {"base": "horse-tiny"})
    merge_lora(built)
    own = dict(bare.named_parameters())
    changes = {name: (p - own[name]).detach() for name, p in built.named_parameters()}
    return tmp_path / "a.safetensors", {name: c for name, c in changes.items() if c.any()}


def test_comfyui_finds_its_keys_and_adds_the_same(adapter, tmp_path):
    from horsekit.adapters.export import export_comfyui

    path, changes = adapter
    out = tmp_path / "deep" / "comfy.safetensors"
    about = export_comfyui(path, out)
    tensors = load_file(out)
    assert sorted(tensors) == sorted(GOLDEN)
    assert about["scope"] == "all" and about["base"] == "horse-tiny"
    with safe_open(out, framework="pt") as stored:
        assert stored.metadata() == about
    for name, change in changes.items():
        key = f"diffusion_model.{name.removesuffix('.weight')}"
        a, b, alpha = (tensors[f"{key}.{end}"] for end in ("lora_A.weight", "lora_B.weight", "alpha"))
        torch.testing.assert_close(alpha / len(a) * b @ a, change)  # as its loader computes it
    assert len(changes) == 4 * CONFIG.num_layers


class Skeleton(nn.Module):
    """Plain linear maps where the model has its own, each weight of the same shape."""

    def __init__(self, changes: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, change in changes.items():
            *parents, leaf, _ = name.split(".")
            at = self
            for part in parents:
                if not hasattr(at, part):
                    setattr(at, part, nn.Module())
                at = getattr(at, part)
            setattr(at, leaf, nn.Linear(change.shape[1], change.shape[0], bias=False))


def test_peft_opens_the_export_and_adds_the_same(adapter, tmp_path):
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    from horsekit.adapters.export import export_peft

    path, changes = adapter
    export_peft(path, tmp_path / "peft")
    plain = Skeleton(changes)
    config = LoraConfig.from_pretrained(tmp_path / "peft")
    opened = inject_adapter_in_model(config, plain)
    weights = {
        key.removeprefix("base_model.model."): value
        for key, value in load_peft_weights(str(tmp_path / "peft"), device="cpu").items()
    }
    result = set_peft_model_state_dict(opened, weights)
    assert not result.unexpected_keys
    for name, change in changes.items():
        lora = opened.get_submodule(name.removesuffix(".weight"))
        torch.testing.assert_close(lora.get_delta_weight("default"), change)
    assert json.loads((tmp_path / "peft" / "adapter_config.json").read_text())["base_model_name_or_path"]


def test_nothing_is_written_over_and_nothing_half(adapter, tmp_path):
    from horsekit.adapters.export import export_peft
    from horsekit.transformer import CheckpointError

    export_peft(adapter[0], tmp_path / "peft")
    with pytest.raises(ValueError, match="exists already"):
        export_peft(adapter[0], tmp_path / "peft")
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="cannot be read"):
        export_peft(tmp_path / "x.safetensors", tmp_path / "other")
    assert not (tmp_path / "other").exists()
