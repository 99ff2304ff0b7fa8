"""Batches as a pure function of (seed, rank, step): nothing to save, nothing to lose on resume."""

from collections import defaultdict
from dataclasses import dataclass, replace

import torch

from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.sample import Recipe
from horsekit.sequence import Batch, pack
from horsekit.tokenizers import TextTokenizer

_STREAMS = {"order": 1, "draw": 2, "blend": 3}


def step_generator(seed: int, rank: int, step: int, stream: str = "draw") -> torch.Generator:
    """A generator that depends on nothing but its arguments."""
    mixed = seed
    for part in (_STREAMS[stream], rank, step):
        mixed = (mixed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)


@dataclass(frozen=True, eq=False)
class Batches:
    """Samples in shuffled epochs, all of a batch from one bucket unless mixed, drawn into tasks by the recipe.

    Buckets make batches of one shape, which is faster; a small set has too few of a shape, so it is mixed, still
    without padding.
    batch_size counts samples per rank, stills_batch_size (None: as many) those of a batch of single frames, which
    are so much shorter; ranks see disjoint parts of each epoch's order.
    twins: samples come two by two, each beside its twin, with the same task, references and wording.
    Errors: ValueError for a batch size below 1, or an odd one of twins.
    """

    samples: LatentDataset
    text: TextTokenizer
    batch_size: int
    recipe: Recipe = Recipe()
    seed: int = 0
    rank: int = 0
    world: int = 1
    stills_batch_size: int | None = None
    mixed: bool = False
    twins: bool = False

    def __post_init__(self) -> None:
        together = 2 if self.twins else 1
        for name, size in (("batch_size", self.batch_size), ("stills_batch_size", self.stills_batch_size)):
            if size is not None and size < 1:
                raise ValueError(f"{name} is {size}; use at least 1")
            if size is not None and size % together:
                raise ValueError(f"{name} is {size}, and twins come two by two; use an even number")
        buckets = defaultdict(list)
        for index, bucket in enumerate(self.samples.buckets):
            buckets[(0,) if self.mixed else bucket].append(index)
        stills = self.stills_batch_size or self.batch_size
        sized = [
            (
                torch.tensor(rows).view(-1, together),
                (stills if shape[0] == 1 else self.batch_size) // together,
            )
            for shape, rows in sorted(buckets.items())
        ]
        object.__setattr__(self, "_buckets", sized)

    def at(self, step: int) -> Batch:
        """The batch of a step on this rank."""
        generator, sequences = step_generator(self.seed, self.rank, step), []
        drawn = generator.get_state()
        for place, index in enumerate(self.indices(step)):
            if self.twins and place % 2:
                generator.set_state(drawn)  # so that all is drawn as it was for the twin before
            drawn = generator.get_state()
            sequences.append(self.recipe.sequence(self.samples[index], self.text, generator))
        return replace(pack(sequences), twins=self.twins)

    def indices(self, step: int) -> list[int]:
        """Which samples the batch of a step holds."""
        rows, size = self._bucket(step)
        first = (step * self.world + self.rank) * size
        places = range(first, first + size)
        epochs = {place // len(rows): None for place in places}
        orders = {epoch: self._order(epoch, len(rows)) for epoch in epochs}
        units = [rows[orders[place // len(rows)][place % len(rows)]] for place in places]
        return torch.cat(units).tolist()

    def _bucket(self, step: int) -> tuple[torch.Tensor, int]:
        """Buckets take turns in proportion to their batches; every rank picks the same one."""
        if len(self._buckets) == 1:
            return self._buckets[0]
        batches = torch.tensor([len(rows) / size for rows, size in self._buckets])
        generator = step_generator(self.seed, 0, step, "order")
        return self._buckets[int(torch.multinomial(batches, 1, generator=generator))]

    def _order(self, epoch: int, count: int) -> torch.Tensor:
        return torch.randperm(count, generator=step_generator(self.seed, 0, -1 - epoch, "order"))


@dataclass(frozen=True, eq=False)
class Blend:
    """Batches of what is to be learnt, and now and then one of what is not to be forgotten.

    share: of the steps that go to `prior`; every rank picks the same. Errors: ValueError for a share not below 1.
    """

    own: Batches
    prior: Batches
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"prior_share is {self.share}; use 0 or more, and less than 1")

    def at(self, step: int) -> Batch:
        """The batch of a step on this rank."""
        drawn = torch.rand((), generator=step_generator(self.own.seed, 0, step, "blend"))
        return (self.prior if drawn < self.share else self.own).at(step)
