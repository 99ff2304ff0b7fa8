"""Batches as a pure function of (seed, rank, step): nothing to save, nothing to lose on resume."""

from collections import defaultdict
from dataclasses import dataclass

import torch

from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.sample import Recipe
from horsekit.sequence import Batch, pack
from horsekit.tokenizers import TextTokenizer

_STREAMS = {"order": 1, "draw": 2}


def step_generator(seed: int, rank: int, step: int, stream: str = "draw") -> torch.Generator:
    """A generator that depends on nothing but its arguments."""
    mixed = seed
    for part in (_STREAMS[stream], rank, step):
        mixed = (mixed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)


@dataclass(frozen=True, eq=False)
class Batches:
    """Samples in shuffled epochs, all of a batch from one bucket, drawn into tasks by the recipe.

    batch_size counts samples per rank; ranks see disjoint parts of each epoch's order.
    Errors: ValueError for a batch size below 1.
    """

    samples: LatentDataset
    text: TextTokenizer
    batch_size: int
    recipe: Recipe = Recipe()
    seed: int = 0
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; use at least 1")
        buckets = defaultdict(list)
        for index, bucket in enumerate(self.samples.buckets):
            buckets[bucket].append(index)
        object.__setattr__(self, "_buckets", [torch.tensor(rows) for _, rows in sorted(buckets.items())])

    def at(self, step: int) -> Batch:
        """The batch of a step on this rank."""
        generator = step_generator(self.seed, self.rank, step)
        sequences = [
            self.recipe.sequence(self.samples[index], self.text, generator) for index in self.indices(step)
        ]
        return pack(sequences)

    def indices(self, step: int) -> list[int]:
        """Which samples the batch of a step holds."""
        rows = self._bucket(step)
        wanted = self.batch_size * self.world
        first = step * wanted + self.rank * self.batch_size
        places = range(first, first + self.batch_size)
        epochs = {place // len(rows): None for place in places}
        orders = {epoch: self._order(epoch, len(rows)) for epoch in epochs}
        return [int(rows[orders[place // len(rows)][place % len(rows)]]) for place in places]

    def _bucket(self, step: int) -> torch.Tensor:
        """Buckets take turns in proportion to their size; every rank picks the same one."""
        if len(self._buckets) == 1:
            return self._buckets[0]
        sizes = torch.tensor([float(len(rows)) for rows in self._buckets])
        generator = step_generator(self.seed, 0, step, "order")
        return self._buckets[int(torch.multinomial(sizes, 1, generator=generator))]

    def _order(self, epoch: int, count: int) -> torch.Tensor:
        return torch.randperm(count, generator=step_generator(self.seed, 0, -1 - epoch, "order"))
