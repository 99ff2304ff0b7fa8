"""A training run that takes milliseconds a step: a real model and real batches, no tokenizers, no media."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import torch

from horsekit.dataset.batches import Batches
from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.sample import LatentSample, Recipe
from horsekit.engine.config import TrainConfig
from horsekit.engine.launch import launch
from horsekit.engine.loop import RunResult, train
from horsekit.flow import Objective
from horsekit.sequence import Batch
from horsekit.transformer import TransformerConfig, UnifiedTransformer

ARCHITECTURE = TransformerConfig(
    num_layers=3,
    hidden_size=32,
    head_dim=16,
    num_query_groups=1,
    video_in_channels=6,
    audio_in_channels=3,
    mm_layers=(0,),
    gelu7_layers=(0,),
    patch=(1, 1, 1),
    text_vocab_size=32,
    num_slots=4,
)


class Words:
    """Text without a trained tokenizer: ids 10 to 13 mention the slots 1 to 4."""

    empty = (1,)

    def encode(self, text: str) -> list[int]:
        return [2 + len(word) % 8 for word in text.split()] + [10]

    def positions(self, text: str) -> torch.Tensor:
        return torch.full((len(text.split()) + 1, 2), torch.nan, dtype=torch.float64)

    def slots(self, ids: list[int]) -> list[int]:
        return [i - 9 if 10 <= i < 14 else 0 for i in ids]

    def renumber(self, ids: list[int], slots: dict[int, int]) -> list[int]:
        return [9 + slots.get(i - 9, i - 9) if 10 <= i < 14 else i for i in ids]


def samples(count: int) -> list[LatentSample]:
    """Clips of one and the same kind, so that there is something to learn."""
    generator = torch.Generator().manual_seed(0)
    look = torch.randn(1, 2, 2, 6, generator=generator)
    return [
        LatentSample(
            look + 0.1 * torch.randn(3, 2, 2, 6, generator=generator),
            torch.randn(9, 3, generator=generator),
            ("a fox sings",),
            {1: look + 0.1 * torch.randn(2, 2, 2, 6, generator=generator)},
        )
        for _ in range(count)
    ]


def configured(out: Path, **values) -> TrainConfig:
    """A config of six steps, with `values` over it."""
    given = {
        "name": "tiny",
        "mode": "pretrain",
        "model": "tiny",
        "out": str(out),
        "data": {"kind": "stage", "path": "nowhere"},
        "batch_size": 2,
        "steps": 6,
        "optimizer": {"lr": 0.01},
        "schedule": {"warmup_steps": 2},
        "ema": {"decay": 0.5},
        "log_every": 1,
    }
    return TrainConfig(**{**given, **values})


@dataclass
class Interrupting:
    """Batches during one of which the process is asked to end, as a person or a scheduler asks."""

    batches: Batches
    at_step: int
    number: int

    def at(self, step: int) -> Batch:
        if step == self.at_step:
            os.kill(os.getpid(), self.number)
        return self.batches.at(step)


def model() -> UnifiedTransformer:
    torch.manual_seed(0)
    return UnifiedTransformer(ARCHITECTURE)


def batches(config: TrainConfig, rank: int = 0, world: int = 1) -> Batches:
    recipe = Recipe(reference_drop=0.0) if config.mode == "lora" else Recipe()
    return Batches(
        LatentDataset.of(samples(12)), Words(), config.batch_size, recipe, config.seed, rank, world
    )


def run(
    config: TrainConfig,
    interrupt_at: int | None = None,
    number: int = signal.SIGTERM,
    built: UnifiedTransformer | None = None,
    objective: Objective | None = None,
    **hooks,
) -> RunResult:
    """Train; interrupt_at: the batch (from 0) during which the signal `number` comes."""
    place = launch()
    source = batches(config, place.rank, place.world)
    if interrupt_at is not None:
        source = Interrupting(source, interrupt_at, number)
    return train(config, place, built or model(), source, objective or Objective(), **hooks)
