"""Weights to ship or to build on: safetensors, in the form that the rest of the house reads."""

from collections.abc import Mapping
from pathlib import Path

from horsekit.engine.checkpoint import Progress
from horsekit.engine.config import TrainConfig
from horsekit.transformer import UnifiedTransformer, save_transformer

ADAPTER = "adapter.safetensors"
WEIGHTS, SNAPSHOTS = "weights", "snapshots"  # in a run's folder
HALF = 0.5  # a few clips are soon learnt by heart; less of what was learnt can then be truer


def export_weights(
    model: UnifiedTransformer,
    folder: Path,
    config: TrainConfig,
    progress: Progress,
    characters: Mapping[str, str],
) -> None:
    """Write a folder that load_transformer reads, or for LoRA an adapter file in it, which names its characters."""
    if config.mode != "lora":
        save_transformer(model, folder)
        return
    from horsekit.adapters.lora import save_adapter

    about = {"base": config.model, "steps": str(progress.step), "samples": str(progress.samples)}
    save_adapter(model, folder / ADAPTER, {**about, **characters})


def adapters_of(run: Path) -> dict[str, tuple[Path, float]]:
    """The adapters to choose from that a run left, by name, and how strongly they act.

    Its snapshots, the last one as "final", and that at half its strength. Errors: ValueError where there is none.
    """
    found = {path.parent.name: (path, 1.0) for path in sorted((run / SNAPSHOTS).glob(f"*/{ADAPTER}"))}
    final = run / WEIGHTS / ADAPTER
    if final.is_file():
        found |= {"final": (final, 1.0), f"final × {HALF}": (final, HALF)}
    if not found:
        raise ValueError(f"{run} holds no adapter; give the folder of a run with mode=lora")
    return found
