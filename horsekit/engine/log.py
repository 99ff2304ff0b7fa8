"""What a run tells while it runs: log.jsonl, a progress bar, wandb when asked, and a loss curve."""

import json
import secrets
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from horsekit.engine.config import TrainConfig
from horsekit.flow import Losses
from horsekit.media import replacing

LOG, CURVE = "log.jsonl", "curve.png"


class Meter:
    """Means of a step's measures since the last reading, over all processes."""

    def __init__(self) -> None:
        self._sums: dict[str, list[Tensor]] = defaultdict(list)

    def add(self, losses: Losses) -> None:
        """Take in the losses of one backward pass."""
        self._sums["loss"].append(losses.total.detach())
        self._sums["video"].append(losses.video)
        self._sums["audio"].append(losses.audio)
        self._sums["by_level"].append(losses.by_level)

    def read(self) -> dict[str, Any]:
        """The means, and start anew. by_level: (video, audio) of each noise level, None where unseen."""
        record: dict[str, Any] = {}
        for name, values in self._sums.items():
            stack = torch.stack(values).double()
            seen = ~stack.isnan()
            totals = torch.stack([stack.nan_to_num().sum(0), seen.double().sum(0)])
            if dist.is_initialized() and dist.get_world_size() > 1:
                dist.all_reduce(totals)
            record[name] = _plain(totals[0] / totals[1])
        self._sums.clear()
        return record


class RunLog:
    """Writes a run's records; only the first process makes one.

    Records after `step` (of a run that was killed past its last checkpoint) are dropped.
    """

    def __init__(self, folder: Path, config: TrainConfig, step: int) -> None:
        self.path = folder / LOG
        kept = [r for r in read_log(folder) if r["step"] <= step] if step else []
        with replacing(self.path) as draft:
            draft.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
        self._file = self.path.open("a", encoding="utf-8")
        self._wandb = _start_wandb(config, folder, fresh=not step) if config.wandb != "off" else None

    def write(self, record: dict[str, Any]) -> None:
        """Add one record; it is on disk when this returns."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._wandb is not None:
            self._wandb.log(_flat(record), step=record["step"])

    def close(self) -> None:
        self._file.close()
        if self._wandb is not None:
            self._wandb.finish()


def read_log(run: Path | str) -> list[dict[str, Any]]:
    """The records of a run; a line that was cut off while it was written is left out."""
    path = Path(run) / LOG
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def plot_curve(run: Path | str, path: Path | str | None = None) -> Path:
    """Draw a run's losses over clips seen, also by noise level, as a PNG (by default in the run's folder).

    Errors: ValueError when the run has logged nothing.
    """
    from matplotlib.figure import Figure

    records = [record for record in read_log(run) if "loss" in record]
    if not records:
        raise ValueError(f"{run} has logged no loss yet; wait for the first line of {LOG}")
    clips = [record["samples"] for record in records]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    both, levels = figure.subplots(1, 2)
    for name in ("video", "audio"):
        both.plot(clips, [record[name] for record in records], label=name)
    held_out = [(record["samples"], record["held_out"]) for record in read_log(run) if "held_out" in record]
    for name in ("video", "audio") if held_out else ():
        both.plot([at for at, _ in held_out], [m[name] for _, m in held_out], ".", label=f"{name}, held out")
    bins = len(records[0]["by_level"])
    for index in range(bins):
        values = [record["by_level"][index][0] for record in records]
        values = [float("nan") if value is None else value for value in values]
        levels.plot(clips, values, label=f"σ {index / bins:g} to {(index + 1) / bins:g}")
    for axes, title in ((both, "velocity error"), (levels, "video, by noise level")):
        axes.set(title=title, xlabel="clips seen", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    target = Path(run) / CURVE if path is None else Path(path)
    with replacing(target) as draft:
        figure.savefig(draft, dpi=120)
    return target


def _plain(value: Tensor) -> Any:
    """Numbers that JSON knows: NaN becomes None."""
    if value.ndim:
        return [_plain(part) for part in value]
    return None if value.isnan() else round(value.item(), 6)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{key}/{name}": part for name, part in value.items()}
        else:
            flat[key] = value
    for index, (video, audio) in enumerate(flat.pop("by_level", [])):
        flat |= {f"by_level/video_{index}": video, f"by_level/audio_{index}": audio}
    return {key: value for key, value in flat.items() if value is not None}


def _start_wandb(config: TrainConfig, folder: Path, fresh: bool) -> Any:
    """A run of wandb's; one that goes on after a stop goes on there as well."""
    try:
        import wandb
    except ImportError as error:
        raise ValueError("wandb is not installed; pip install wandb, or set wandb=off") from error
    name = folder / "wandb_id"
    if fresh or not name.is_file():
        name.write_text(secrets.token_hex(8), encoding="utf-8")
    return wandb.init(
        project="horsekit",
        name=config.name,
        mode=config.wandb,
        dir=folder,
        config=config.model_dump(mode="json"),
        id=name.read_text(encoding="utf-8"),
        resume="allow",
    )
