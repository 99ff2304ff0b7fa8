"""Weights to ship or to build on: safetensors, in the form that the rest of the house reads."""

from pathlib import Path

from horsekit.engine.checkpoint import Progress
from horsekit.engine.config import TrainConfig
from horsekit.transformer import UnifiedTransformer, save_transformer

ADAPTER = "adapter.safetensors"


def export_weights(model: UnifiedTransformer, folder: Path, config: TrainConfig, progress: Progress) -> None:
    """Write a folder that load_transformer reads, or for LoRA an adapter file in it."""
    if config.mode != "lora":
        save_transformer(model, folder)
        return
    from horsekit.adapters.lora import save_adapter

    about = {"base": config.model, "steps": str(progress.step), "samples": str(progress.samples)}
    save_adapter(model, folder / ADAPTER, about)
