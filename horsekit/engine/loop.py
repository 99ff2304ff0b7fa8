"""The training loop on a DeepSpeed engine."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm.auto import tqdm

from horsekit.dataset.batches import step_generator
from horsekit.engine.checkpoint import Progress, characters_of, forget, load_checkpoint, save_checkpoint
from horsekit.engine.config import ROOT, TrainConfig, zero_config
from horsekit.engine.ema import Ema
from horsekit.engine.export import SNAPSHOTS, WEIGHTS, export_weights
from horsekit.engine.launch import Place
from horsekit.engine.log import Meter, RunLog
from horsekit.engine.memory import keep_freed_memory
from horsekit.engine.optimizer import build_optimizer
from horsekit.engine.schedule import rate_factor, used_share
from horsekit.flow import Losses
from horsekit.media import replacing
from horsekit.sequence import Batch
from horsekit.transformer.precision import fast_bf16

CHECKPOINTS, PREVIEWS = "checkpoints", "previews"
PATIENCE = 5  # seconds
NOISE_STREAM, HELD_OUT_STREAM = 1 << 40, 1 << 41  # apart from the seeds that draw the samples


class BatchSource(Protocol):
    """Batches as a pure function of the step."""

    def at(self, step: int) -> Batch: ...


Loss = Callable[[nn.Module, Batch, torch.Generator], Losses]
Preview = Callable[[nn.Module, int, Path], None]


@dataclass(frozen=True)
class RunResult:
    """Where a run ended: its folder, its averaged weights, and whether it is complete or was interrupted."""

    folder: Path
    weights: Path
    progress: Progress
    complete: bool


@dataclass
class Stretch:
    """The steps since the last report, the seconds they took, and the last one's gradient before clipping."""

    steps: int = 0
    clips: int = 0
    seconds: float = 0.0
    norm: float = 0.0

    def add(self, clips: int, norm: float, seconds: float) -> None:
        self.steps, self.clips, self.norm = self.steps + 1, self.clips + clips, norm
        self.seconds += seconds


def train(
    config: TrainConfig,
    place: Place,
    model: nn.Module,
    batches: BatchSource,
    objective: Loss,
    held_out: BatchSource | None = None,
    preview: Preview | None = None,
) -> RunResult:
    """Train until the steps or the minutes are used up; SIGINT or SIGTERM ends it with a checkpoint.

    Every process calls this with its own batches. preview(model, step, folder), given to one process only, is
    called with the averaged weights in the model. Errors: ValueError for a checkpoint of another run, or when
    the loss is not finite.
    """
    keep_freed_memory()
    run = Run(config, place, model, batches, objective, held_out, preview)
    with interrupts() as interrupted:
        return run.until_done(interrupted)


class Run:
    """A run under way."""

    def __init__(
        self,
        config: TrainConfig,
        place: Place,
        model: nn.Module,
        batches: BatchSource,
        objective: Loss,
        held_out: BatchSource | None,
        preview: Preview | None,
    ) -> None:
        if config.zero == 3 and place.world > 1 and config.preview_every:
            raise ValueError(
                f"preview_every is {config.preview_every}, and with zero=3 the weights are cut up over {place.world} "
                "processes, of which one alone makes previews; set preview_every=0 or zero=2"
            )
        self.config, self.place = config, place
        self.batches, self.objective = batches, objective
        self.held_out, self.preview = held_out, preview
        self.folder = ROOT / config.folder
        self.characters = characters_of(config)  # as they are when it begins
        self.engine = start_engine(config, model.to(place.device), place)
        self.ema = Ema(self.engine.module, config.ema.decay, config.ema.every)
        if config.resume == "never":
            self._forget_the_last()
        self.progress = load_checkpoint(
            self.folder / CHECKPOINTS, self.engine, self.ema, config, self.characters
        )
        forget(*self._snapshots_ahead())
        self.meter, self.since_report = Meter(), Stretch()
        self.started = time.monotonic()
        self.log = self._open_log() if place.first else None

    def until_done(self, interrupted: threading.Event) -> RunResult:
        """Step until the run is over or interrupted, then leave a checkpoint and the averaged weights."""
        bar, saved = self._bar(), time.monotonic()
        self.started = saved - 60 * self.progress.minutes
        taken = self._snapshots_due(self._used())
        while True:
            due = time.monotonic() - saved > 60 * self.config.checkpoint_minutes
            used, stop, due = self._agreed(self._used(), interrupted.is_set(), due)
            if used >= 1 or stop:
                break
            if due:
                self._save()
                saved = time.monotonic()
            if self._snapshots_due(used) > taken:
                taken += 1
                self._export(self.folder / SNAPSHOTS / f"step-{self.progress.step:08d}")
            self._step(used)
            bar.update()
            self._after_step(bar)
        if self.since_report.steps:
            self._report(bar)
        bar.close()
        self._save()
        if self.log is not None:
            self.log.close()
        return RunResult(self.folder, self.folder / WEIGHTS, self.progress, complete=used >= 1)

    def _forget_the_last(self) -> None:
        """Remove what a run left here: a snapshot of another character is not to be ranked with this run's."""
        if (ROOT / self.config.model).resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(
                f"model is {self.config.model!r}, and resume=never removes what is in {self.folder}; "
                "choose another name for the run"
            )
        forget(*(self.folder / left for left in (CHECKPOINTS, SNAPSHOTS, PREVIEWS, WEIGHTS)))

    def _snapshots_ahead(self) -> list[Path]:
        """Those of a run that was killed past its last checkpoint; it takes them again, at other steps."""
        taken = (self.folder / SNAPSHOTS).glob("step-*")
        return [path for path in taken if int(path.name.removeprefix("step-")) > self.progress.step]

    def _snapshots_due(self, used: float) -> int:
        return int(used * self.config.snapshots + 1e-9)

    def _used(self) -> float:
        """Read the clock; the share of the run that is over."""
        self.progress.minutes = (time.monotonic() - self.started) / 60
        return used_share(
            self.progress.step, self.config.steps, self.progress.minutes, self.config.max_minutes
        )

    def _after_step(self, bar: tqdm) -> None:
        step, config = self.progress.step, self.config
        if step % config.log_every == 0:
            self._report(bar)
        if config.evaluate_every and step % config.evaluate_every == 0:
            self._evaluate()
        if config.preview_every and step % config.preview_every == 0:
            self._preview()

    def _step(self, used: float) -> None:
        """One update of the weights."""
        config, step, begun = self.config, self.progress.step, time.monotonic()
        factor = rate_factor(step, used, config.schedule)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        clips = 0
        for part in range(config.accumulation):
            micro = step * config.accumulation + part
            batch = self._drawn(self.batches, micro)
            generator = step_generator(config.seed + NOISE_STREAM, self.place.rank, micro)
            losses = self.objective(self.engine, batch, generator)
            clips += len(batch.main.counts) * self.place.world
            self.engine.backward(self._reaching(losses.total))
            self.meter.add(losses)
            if config.zero == 0 and part == config.accumulation - 1:
                norm = nn.utils.clip_grad_norm_(self._trainable(), config.gradient_clip or float("inf"))
            self.engine.step()
        if config.zero:
            norm = self.engine.get_global_grad_norm()
        self.progress.step += 1
        self.progress.samples += clips
        self.ema.update(self.progress.step)
        self.since_report.add(clips, float(norm), time.monotonic() - begun)

    def _drawn(self, source: BatchSource, number: int) -> Batch:
        """A batch where it is used."""
        batch = source.at(number).to(self.place.device)
        learns = self.engine.module.training  # else nothing is averaged, and only ZeRO 3 gathers weights
        if self.place.world > 1 and self.config.zero >= (1 if learns else 3):
            self._check_alike(batch)
        return batch

    def _check_alike(self, batch: Batch) -> None:
        """All processes' batches use the same weights: ZeRO averages gradients in the order in which they come."""
        streams = (batch.main.sizes, batch.references.sizes if batch.references else (0, 0, 0))
        used = torch.tensor(
            [float(rows > 0) for sizes in streams for rows in sizes], device=self.place.device
        )
        bounds = torch.cat([used, -used])
        dist.all_reduce(bounds, dist.ReduceOp.MAX)
        if (bounds[: len(used)] != -bounds[len(used) :]).any():
            raise ValueError(
                f"in step {self.progress.step} one process has sound, pictures or voices and another has "
                f"none, which zero={self.config.zero} cannot work with; set zero=0, a larger batch_size, or "
                "recipe.reference_drop and recipe.voice_drop of data, prior and held_out to 0"
            )

    def _reaching(self, total: Tensor) -> Tensor:
        """The loss, also where an adapter of references meets a batch without any, and nothing of it is learnt."""
        return total if total.requires_grad else total + 0 * sum(p.sum() for p in self._trainable())

    def _trainable(self) -> list[nn.Parameter]:
        return [p for p in self.engine.module.parameters() if p.requires_grad]

    def _agreed(self, used: float, stop: bool, due: bool) -> tuple[float, bool, bool]:
        """What the furthest process says, since clocks and signals differ between processes."""
        if self.place.world == 1:
            return used, stop, due
        votes = torch.tensor([used, float(stop), float(due)], dtype=torch.float64, device=self.place.device)
        dist.all_reduce(votes, dist.ReduceOp.MAX)
        used, stop, due = votes.tolist()
        return used, bool(stop), bool(due)

    def _report(self, bar: tqdm) -> None:
        means, done = self.meter.read(), self.since_report
        self.since_report = Stretch()
        if self.log is None:
            return
        used = self._used()
        record = {
            "step": self.progress.step,
            "steps": self.config.steps,
            "seconds": round(60 * self.progress.minutes, 3),
            "samples": self.progress.samples,
            **means,
            "lr": self.engine.optimizer.param_groups[-1]["lr"],
            "grad_norm": round(done.norm, 4),
            "clips_per_second": round(done.clips / done.seconds, 2),
            "eta_seconds": round(60 * self.progress.minutes * max(0.0, 1 - used) / used, 1),
        }
        self.log.write(record)
        left = record["eta_seconds"] / 60
        bar.set_postfix_str(
            f"loss {means['loss']:.3f}, {record['clips_per_second']:.1f} clips/s, {left:.0f} min to go"
        )

    def _evaluate(self) -> None:
        """The averaged weights on fixed held-out batches with fixed noise."""
        meter = Meter()
        self.engine.eval()
        with self.ema.applied(), torch.no_grad():
            for index in range(self.config.evaluate_batches):
                generator = step_generator(self.config.seed + HELD_OUT_STREAM, self.place.rank, index)
                meter.add(self.objective(self.engine, self._drawn(self.held_out, index), generator))
            if self.config.zero == 3:  # or what stays gathered for the next step are averages
                self.engine.empty_partition_cache()
        self.engine.train()
        means = meter.read()
        if self.log is not None:
            self.log.write({"step": self.progress.step, "samples": self.progress.samples, "held_out": means})

    def _preview(self) -> None:
        with self.ema.applied(), gathered(self.engine.module):
            if self.preview is not None:
                self.preview(self.engine.module, self.progress.step, self.folder / PREVIEWS)
        self.engine.train()
        dist.barrier()

    def _save(self) -> None:
        save_checkpoint(
            self.folder / CHECKPOINTS, self.engine, self.ema, self.progress, self.config, self.characters
        )
        self._export(self.folder / WEIGHTS)

    def _export(self, folder: Path) -> None:
        """Write the averaged weights."""
        # of an adapter the frozen base is not written
        with self.ema.applied(), gathered(self.engine.module, learnt=self.config.mode == "lora"):
            if self.place.first:
                export_weights(self.engine.module, folder, self.config, self.progress, self.characters)
        dist.barrier()

    def _open_log(self) -> RunLog:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / "config.yaml") as draft:
            draft.write_text(self.config.to_yaml(), encoding="utf-8")
        return RunLog(self.folder, self.config, self.progress.step)

    def _bar(self) -> tqdm:
        return tqdm(
            desc=self.config.name,
            total=self.config.steps,
            initial=self.progress.step,
            unit="step",
            disable=not self.place.first,
        )


def start_engine(config: TrainConfig, model: nn.Module, place: Place) -> Any:
    """A DeepSpeed engine over the model's trainable weights."""
    import deepspeed

    settings = zero_config(config.zero) | {
        "train_micro_batch_size_per_gpu": config.batch_size,
        "gradient_accumulation_steps": config.accumulation,
        # without ZeRO the loop clips, since only then is the norm known
        "gradient_clipping": config.gradient_clip if config.zero else 0.0,
        "steps_per_print": 2**40,
    }
    if config.precision == "bf16" or (config.precision == "auto" and fast_bf16(place.device)):
        settings["torch_autocast"] = {"enabled": True, "dtype": "bfloat16"}
    model.gradient_checkpointing = config.gradient_checkpointing
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=build_optimizer(model, config.optimizer),
        config=settings,
        dist_init_required=False,
    )
    if config.zero == 0 and dist.get_world_size() == 1:
        # alone there is nothing to average, and flattening the gradients for it costs a copy of the model
        engine.enable_backward_allreduce = False
    return engine


@contextmanager
def gathered(model: nn.Module, learnt: bool = False) -> Iterator[None]:
    """Whole weights inside the block, where ZeRO 3 has cut them up; learnt: only of those that learn."""
    import deepspeed

    cut = [p for p in model.parameters() if hasattr(p, "ds_tensor")]
    parameters = [p for p in cut if p.requires_grad or not learnt]
    with deepspeed.zero.GatheredParameters(parameters, enabled=bool(parameters)):
        yield


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a signal that comes seconds later ends the process as usual.

    The deepspeed launcher answers one Ctrl-C with several signals to each process, so the next few do not count.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    first = None

    def note(number: int, _frame: Any) -> None:
        nonlocal first
        first = first or time.monotonic()
        event.set()
        if time.monotonic() - first > PATIENCE:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
