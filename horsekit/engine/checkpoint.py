"""A run's state on disk: it appears whole or not at all, and the last two are kept.

With ZeRO 0 the state is safetensors. With ZeRO 1 to 3 it is DeepSpeed's own format, which is pickle: such a
folder is as trusted as code, so resume only from runs of your own. Weights to share are never pickles.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from horsekit.character import BrandCharacter, joint_metadata
from horsekit.engine.config import ROOT, TrainConfig
from horsekit.engine.ema import Ema
from horsekit.media import replacing

STATE, TENSORS, LATEST, SHARDS = "state.json", "state.safetensors", "latest", "deepspeed"
KEPT = 2
SAME = ("mode", "model", "zero", "seed", "batch_size", "accumulation")
SAME_LORA = ("rank", "alpha", "scope")


@dataclass
class Progress:
    """Where a run stands: steps done, samples seen by all processes, minutes spent training."""

    step: int = 0
    samples: int = 0
    minutes: float = 0.0


def save_checkpoint(
    folder: Path,
    engine: Any,
    ema: Ema,
    progress: Progress,
    config: TrainConfig,
    characters: Mapping[str, str],
) -> Path:
    """Write the state after a step into `folder`/step-...; every process calls this.

    characters: what is known of the characters that the run began with, see characters_of.
    """
    first = dist.get_rank() == 0
    final = folder / f"step-{progress.step:08d}"
    draft = folder / f".draft-{final.name}"
    if first:
        for left in folder.glob(".draft-*"):  # by a process that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
        draft.mkdir(parents=True)
    dist.barrier()
    if config.zero == 0:
        if first:
            save_file(_tensors(engine.module, engine.optimizer, ema), draft / TENSORS)
    else:
        engine.save_checkpoint(str(draft), tag=SHARDS, save_latest=False, exclude_frozen_parameters=True)
        save_file(ema.state(), draft / f"ema-{dist.get_rank()}.safetensors")
    dist.barrier()
    if first:
        about = {
            **asdict(progress),
            "world": dist.get_world_size(),
            "characters": dict(characters),
            "config": config.model_dump(mode="json"),
        }
        (draft / STATE).write_text(json.dumps(about, indent=1), encoding="utf-8")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(draft, final)
        with replacing(folder / LATEST) as pointer:
            pointer.write_text(final.name, encoding="utf-8")
        for old in sorted(folder.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)
    dist.barrier()
    return final


def load_checkpoint(
    folder: Path,
    engine: Any,
    ema: Ema,
    config: TrainConfig,
    characters: Mapping[str, str],
) -> Progress:
    """Go on from the latest state in `folder`; a fresh start when there is none.

    Errors: ValueError when it belongs to a run with another config, or is damaged, naming what differs.
    """
    if not (folder / LATEST).is_file():
        return Progress()
    latest = folder / (folder / LATEST).read_text(encoding="utf-8").strip()
    about = _read_state(latest)
    for name, then, now in _differences(about, config, characters):
        raise ValueError(
            f"{latest} comes from a run of which {name} was {then!r}, now it is {now!r}; put {name} back, "
            "choose another name for the run, or start it anew with resume=never"
        )
    if config.zero == 0:
        _put_tensors(_read_tensors(latest / TENSORS), engine.module, engine.optimizer, ema, latest)
    else:
        asked = [
            {key: value for key, value in group.items() if key != "params"}
            for group in engine.optimizer.param_groups
        ]
        clip = engine.optimizer.clip_grad
        loaded, _ = engine.load_checkpoint(str(latest), tag=SHARDS, load_module_strict=False)
        # DeepSpeed brings back the rates of the run that was broken off, whatever the config says now
        for group, values in zip(engine.optimizer.param_groups, asked, strict=True):
            group.update(values)
        engine.optimizer.clip_grad = clip
        if loaded is None:
            raise ValueError(f"{latest} is damaged; delete it, or start anew with resume=never")
        ema.load(_read_tensors(latest / f"ema-{dist.get_rank()}.safetensors"))
    return Progress(about["step"], about["samples"], about["minutes"])


def forget(*folders: Path) -> None:
    """Remove what an earlier run left; only the first process does."""
    if dist.get_rank() == 0:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    dist.barrier()


def characters_of(config: TrainConfig) -> dict[str, str]:
    """What an adapter trained so, and its previews, say of the characters in them."""
    return joint_metadata([BrandCharacter.load(ROOT / name) for name in config.data.characters])


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{folder} is damaged ({error}); delete it, or start anew with resume=never"
        ) from error


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is damaged ({error}); delete it or set resume=never") from error


def _differences(
    about: dict[str, Any], config: TrainConfig, shown: Mapping[str, str]
) -> Iterator[tuple[str, Any, Any]]:
    now = config.model_dump(mode="json")
    for name in SAME:
        if about["config"][name] != now[name]:
            yield name, about["config"][name], now[name]
    if config.mode == "lora":
        for name in SAME_LORA:
            if about["config"]["lora"][name] != now["lora"][name]:
                yield f"lora.{name}", about["config"]["lora"][name], now["lora"][name]
    then = about.get("characters", shown)
    for key, name in (
        ("character", "data.characters"),
        ("card", "the content of its characters' folders"),
    ):
        if then.get(key) != shown.get(key):
            yield name, then.get(key), shown.get(key)
    if about["config"]["optimizer"]["kind"] != config.optimizer.kind:
        yield "optimizer.kind", about["config"]["optimizer"]["kind"], config.optimizer.kind
    if about["world"] != dist.get_world_size():
        yield "number of processes", about["world"], dist.get_world_size()


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema) -> dict[str, Tensor]:
    """Trainable weights, their averages and optimizer state, by name; frozen weights come from the base."""
    tensors = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            tensors[f"model/{name}"] = parameter.detach()
            tensors[f"ema/{name}"] = ema.average[name]
            tensors |= {f"optimizer/{key}/{name}": value for key, value in optimizer.state[parameter].items()}
    return {key: value.cpu().contiguous() for key, value in tensors.items()}


@torch.no_grad()
def _put_tensors(
    tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema, source: Path
) -> None:
    live = {name: p for name, p in model.named_parameters() if p.requires_grad}
    saved = {key.removeprefix("model/") for key in tensors if key.startswith("model/")}
    if saved != set(live):
        odd = sorted(saved ^ set(live))[0]
        raise ValueError(f"{source} and the model differ in {odd}; start anew with resume=never")
    for name, parameter in live.items():
        parameter.copy_(tensors[f"model/{name}"])
    ema.load({name: tensors[f"ema/{name}"] for name in live})
    for key, value in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "optimizer":
            slot, _, name = rest.partition("/")
            optimizer.state[live[name]][slot] = value.to(live[name].device)
