"""What an adapter says of itself."""

import pytest
from safetensors import safe_open

from horsekit.character import BrandCharacter
from horsekit.engine.checkpoint import Progress
from horsekit.engine.config import load_config
from horsekit.engine.export import export_weights
from tests.engine import tiny_run


@pytest.mark.filterwarnings("ignore")  # of peft's own dependencies
def test_an_adapter_of_a_character_carries_its_card(tmp_path):
    from horsekit.adapters.lora import add_lora

    model = tiny_run.model()
    add_lora(model, 2, 2, "all")
    config = load_config("configs/train/brand-lora.yaml", [])
    export_weights(model, tmp_path, config, Progress(step=3, samples=24))
    with safe_open(tmp_path / "adapter.safetensors", framework="pt") as stored:
        about = stored.metadata()
    fennel = BrandCharacter.load("data/characters/fennel")
    assert about["character"] == "Fennel" and about["card"] == fennel.digest
    assert about["base"] == "horse-tiny" and about["steps"] == "3" and "consent" in about
    elsewhere = load_config("configs/train/brand-lora.yaml", ["data.path=data"])
    export_weights(model, tmp_path / "other", elsewhere, Progress(step=3, samples=24))
    with safe_open(tmp_path / "other" / "adapter.safetensors", framework="pt") as stored:
        assert "card" not in stored.metadata()
