"""Reading and writing weights: safetensors only, complete or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from horsekit.media import replacing
from horsekit.transformer.config import TransformerConfig
from horsekit.transformer.model import UnifiedTransformer

SLOTS = "adapter.slot_embedder.weight"
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


class CheckpointError(ValueError):
    """Weights that are missing, damaged or of another model."""


def load_magihuman(
    folder: Path | str,
    dtype: torch.dtype = torch.bfloat16,
    config: TransformerConfig | None = None,
    num_slots: int = 0,
) -> UnifiedTransformer:
    """Read a folder with the published tensor names (SPEC §1.8), single or sharded.

    dtype: of the layers' linear maps, bfloat16 as published. config: for a folder without config.json.
    num_slots: add subject slots, which say nothing until trained.
    Errors: CheckpointError naming missing, unexpected or misshapen tensors, or what cannot be read.
    """
    config = config or _read_config(Path(folder))
    return load_transformer(folder, dtype, replace(config, num_slots=num_slots) if num_slots else config)


def load_transformer(
    folder: Path | str, dtype: torch.dtype | None = None, config: TransformerConfig | None = None
) -> UnifiedTransformer:
    """Read config.json and the safetensors beside it; every tensor must be there, and no other.

    dtype: of the layers' linear maps, by default the config's; all else is float32. Slots that
    the weights lack start at zero.
    Errors: CheckpointError.
    """
    folder = Path(folder)
    config = config or _read_config(folder)
    if dtype is not None:
        config = replace(config, params_dtype=str(dtype).removeprefix("torch."))
    with torch.device("meta"):
        model = UnifiedTransformer(config)
    wanted = model.state_dict()
    tensors = _read(folder)
    if SLOTS in wanted and SLOTS not in tensors:
        tensors[SLOTS] = torch.zeros(wanted[SLOTS].shape)
    _compare(folder, wanted, tensors)
    tensors = {key: tensor.to(wanted[key].dtype) for key, tensor in tensors.items()}
    model.load_state_dict(tensors, assign=True, strict=True)
    return model


def save_transformer(model: UnifiedTransformer, folder: Path | str, dtype: torch.dtype | None = None) -> None:
    """Write config.json and model.safetensors; dtype: a smaller type on disk for all matrices."""
    folder = Path(folder)
    state = {}
    for key, tensor in model.state_dict().items():
        shrink = dtype is not None and tensor.ndim == 2
        state[key] = tensor.detach().cpu().to(dtype if shrink else tensor.dtype).contiguous()
    write_safetensors(state, folder / WEIGHTS)
    with replacing(folder / CONFIG) as draft:
        draft.write_text(json.dumps(model.config.to_dict(), indent=1) + "\n")


def write_safetensors(tensors: dict, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a file that appears complete or not at all."""
    with replacing(path) as draft:
        save_file(tensors, draft, metadata={"format": "pt", **(metadata or {})})
        draft.chmod(0o644)  # safetensors leaves a file to its owner alone


def _read_config(folder: Path) -> TransformerConfig:
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder} has no {CONFIG}; pass a TransformerConfig, or point at a model folder"
        )
    try:
        return TransformerConfig.open(folder / CONFIG)
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error


def _read(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for file in _files(folder):
        try:
            with safe_open(file, framework="pt") as stored:
                tensors |= {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} cannot be read ({error}); copy or download it again") from error
    return tensors


def _compare(folder: Path, wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    parts = [f"lacks {_some(missing)}"] * bool(missing) + [f"also holds {_some(unexpected)}"] * bool(
        unexpected
    )
    for key in sorted(wanted.keys() & found.keys()):
        if found[key].shape != wanted[key].shape:
            stored, asked = tuple(found[key].shape), tuple(wanted[key].shape)
            parts.append(f"holds {key} as {stored} where the config asks for {asked}")
            break
    if parts:
        raise CheckpointError(
            f"{folder} {' and '.join(parts)}; weights and config belong to different models"
        )


def _files(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
        except (json.JSONDecodeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{folder / INDEX} is no index of shards: {error}") from error
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise CheckpointError(f"{folder} lacks the shard {absent[0]} that its index names; download it")
        return [folder / name for name in names]
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder} has neither {WEIGHTS} nor {INDEX}; point at a folder with weights")
    return [folder / WEIGHTS]


def _some(keys: list[str]) -> str:
    shown = ", ".join(keys[:4])
    return shown if len(keys) <= 4 else f"{shown} and {len(keys) - 4} more"
