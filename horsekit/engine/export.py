"""Weights to ship or to build on: safetensors, in the form that the rest of the house reads."""

from pathlib import Path

from horsekit.character import CARD, BrandCharacter
from horsekit.engine.checkpoint import Progress
from horsekit.engine.config import ROOT, DataConfig, TrainConfig
from horsekit.transformer import UnifiedTransformer, save_transformer

ADAPTER = "adapter.safetensors"


def export_weights(model: UnifiedTransformer, folder: Path, config: TrainConfig, progress: Progress) -> None:
    """Write a folder that load_transformer reads, or for LoRA an adapter file in it."""
    if config.mode != "lora":
        save_transformer(model, folder)
        return
    from horsekit.adapters.lora import save_adapter

    about = {"base": config.model, "steps": str(progress.step), "samples": str(progress.samples)}
    save_adapter(model, folder / ADAPTER, {**about, **_character(config.data)})


def _character(data: DataConfig) -> dict[str, str]:
    """What the adapter says of the character whose folder the clips come from; nothing without a card."""
    folder = (ROOT / data.path).parent
    if data.kind != "folder" or not (folder / CARD).is_file():
        return {}
    return BrandCharacter.load(folder).metadata
