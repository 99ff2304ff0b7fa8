"""What an adapter says of itself."""

import pytest
from safetensors import safe_open

from horsekit.character import BrandCharacter
from horsekit.engine.checkpoint import Progress, characters_of
from horsekit.engine.config import load_config
from horsekit.engine.export import export_weights
from tests.engine import tiny_run


@pytest.mark.filterwarnings("ignore")  # of peft's own dependencies
def test_an_adapter_of_a_character_carries_its_card(tmp_path):
    from horsekit.adapters.lora import add_lora

    model = tiny_run.model()
    add_lora(model, 2, 2, "all")

    def about(*settings: str) -> dict[str, str]:
        config = load_config("configs/train/brand-lora.yaml", settings)
        export_weights(model, tmp_path, config, Progress(step=3, samples=24), characters_of(config))
        with safe_open(tmp_path / "adapter.safetensors", framework="pt") as stored:
            return stored.metadata()

    fennel, rusty = (BrandCharacter.load(f"data/characters/{name}") for name in ("fennel", "rusty"))
    alone = about()
    assert alone["character"] == "Fennel" and alone["card"] == fennel.digest
    assert alone["base"] == "horse-tiny" and alone["steps"] == "3" and "consent" in alone
    both = about("data.characters=[data/characters/fennel, data/characters/rusty]")
    assert both["character"] == "Fennel, Rusty" and both["card"] == f"{fennel.digest}, {rusty.digest}"
    assert "card" not in about("data.kind=folder", "data.path=data", "data.characters=[]")
