"""Adapters in the layouts that other programs read: ComfyUI's loaders, and peft.

Both take an update of a stacked weight as one product B·A, so the updates of three modalities become one: A as it
stands, B block by block along the diagonal, of three times the rank.
"""

import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from horsekit.adapters.lora import NARROW, TARGETS, read_adapter
from horsekit.media import replacing_folder
from horsekit.transformer.checkpoint import write_safetensors

COMFYUI_PREFIX = "diffusion_model."  # what its model's keys begin with, and so those of its updates
PEFT_PREFIX = "base_model.model."


def export_comfyui(adapter: Path | str, path: Path | str) -> dict[str, str]:
    """Write an adapter's file with ComfyUI's keys; returns the metadata that goes with it.

    Keys: diffusion_model.<map>.lora_A.weight, .lora_B.weight and .alpha, which its generic loader divides by the
    rank. Warns of an adapter that acts on some tokens alone. Errors: CheckpointError for a file that is no adapter.
    """
    about, maps = _plain(adapter)
    tensors = {}
    for name, (a, b, alpha) in maps.items():
        tensors[f"{COMFYUI_PREFIX}{name}.lora_A.weight"] = a
        tensors[f"{COMFYUI_PREFIX}{name}.lora_B.weight"] = b
        tensors[f"{COMFYUI_PREFIX}{name}.alpha"] = torch.tensor(alpha)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    about = {**about, "format": "comfyui-lora"}
    write_safetensors(tensors, Path(path), about)
    return about


def export_peft(adapter: Path | str, folder: Path | str) -> dict[str, str]:
    """Write the folder that peft reads: adapter_config.json and adapter_model.safetensors; returns the metadata.

    It appears complete or not at all. Warns of an adapter that acts on some tokens alone. Errors: CheckpointError
    for a file that is no adapter, ValueError for a folder that is there already.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists already; name a new folder")
    about, maps = _plain(adapter)
    tensors = {
        f"{PEFT_PREFIX}{name}.lora_{part}.weight": value
        for name, (a, b, _) in maps.items()
        for part, value in (("A", a), ("B", b))
    }
    ranks = {name: len(a) for name, (a, _, _) in maps.items()}
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": about.get("base"),
        "inference_mode": True,
        "r": int(about["rank"]),
        "lora_alpha": float(about["alpha"]),
        "target_modules": list(TARGETS),
        "rank_pattern": ranks,
        "alpha_pattern": {name: alpha for name, (_, _, alpha) in maps.items()},
        "bias": "none",
    }
    with replacing_folder(folder) as draft:
        write_safetensors(tensors, draft / "adapter_model.safetensors", about)
        (draft / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return about


def _plain(adapter: Path | str) -> tuple[dict[str, str], dict[str, tuple[Tensor, Tensor, float]]]:
    """Metadata, and for each map A [r, in], B [out, r] and alpha, such that alpha/r · B·A adds to its weight.

    Warns of an adapter of some tokens, which no loader of plain updates can tell from the others.
    """
    about, tensors = read_adapter(adapter)
    if about["scope"] in NARROW:
        warnings.warn(
            f"{adapter} was trained to act on {NARROW[about['scope']]}; a loader that adds it to the weights makes it "
            "act on all tokens. Train with lora.scope=all for such loaders.",
            stacklevel=3,
        )
    rank, maps = int(about["rank"]), {}
    for key, a in tensors.items():
        if key.endswith(".lora_A.weight"):
            name = key.removesuffix(".lora_A.weight")
            experts = len(a) // rank
            b = torch.block_diag(*tensors[f"{name}.lora_B.weight"].chunk(experts))
            maps[name] = (a.contiguous(), b.contiguous(), float(about["alpha"]) * experts)
    return about, maps
