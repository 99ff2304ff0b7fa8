"""A running average of the trainable weights: what is previewed, measured and shipped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages float32 copies of a model's trainable weights.

    Early on the average is shorter, so that it forgets the start: after n steps it decays by no more than
    (1 + n) / (10 + n). With ZeRO 3 each process averages its own part of every weight; none may be kept whole
    between steps, so stage3_param_persistence_threshold has to be 0.
    """

    def __init__(self, model: nn.Module, decay: float, every: int = 1) -> None:
        self.decay, self.every = decay, every
        self._live = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.average = {name: local(p).detach().float().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps (from 1)."""
        if step % self.every:
            return
        keep = min(self.decay, (1 + step) / (10 + step)) ** self.every
        torch._foreach_lerp_(list(self.average.values()), self._weights(), 1 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model carries the averaged weights inside the block, and exactly its own again after it."""
        own = [weight.clone() for weight in self._weights()]
        self._copy(list(self.average.values()))
        try:
            yield
        finally:
            self._copy(own)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return self.average

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a checkpoint's state."""
        for name, average in self.average.items():
            average.copy_(state[name])

    def _weights(self) -> list[Tensor]:
        return [local(p).detach().float() for p in self._live.values()]

    @torch.no_grad()
    def _copy(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._live.values(), values, strict=True):
            local(parameter).copy_(value)


def local(parameter: Tensor) -> Tensor:
    """The part of a parameter that this process holds: a shard with ZeRO 3, else all of it."""
    return parameter.ds_tensor.data if hasattr(parameter, "ds_tensor") else parameter.data
