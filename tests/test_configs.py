"""Every shipped config is valid."""

import pytest

from horsekit.engine.config import ROOT, load_config, zero_config
from horsekit.transformer import TransformerConfig

CONFIGS = ROOT / "configs"


def files(folder: str, ending: str) -> list[str]:
    return sorted(path.name for path in (CONFIGS / folder).glob(f"*{ending}"))


@pytest.mark.parametrize("name", files("train", ".yaml"))
def test_training_configs_validate_and_name_their_parts(name):
    config = load_config(f"configs/train/{name}")
    assert config.name == name.removesuffix(".yaml")
    if config.mode == "pretrain" and config.model.endswith(".json"):
        TransformerConfig.open(ROOT / config.model)
    assert all((ROOT / character / "card.yaml").is_file() for character in config.data.characters)


@pytest.mark.parametrize("name", files("models", ".json"))
def test_model_configs_are_the_presets(name):
    assert TransformerConfig.open(CONFIGS / "models" / name) == TransformerConfig.preset(
        name.removesuffix(".json")
    )


@pytest.mark.parametrize("name", files("deepspeed", ".json"))
def test_deepspeed_configs_are_of_the_stage_that_they_are_named_after(name):
    stage = int(name.removeprefix("zero").removesuffix(".json"))
    assert zero_config(stage)["zero_optimization"]["stage"] == stage


def test_the_shipped_weights_are_small_enough():
    # the reader beside it belongs to the metrics
    weights = list((ROOT / "horsekit" / "weights" / "horse-tiny").rglob("*.safetensors"))
    assert weights and sum(file.stat().st_size for file in weights) < 32e6
