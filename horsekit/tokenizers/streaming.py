"""Conversion piece by piece, in time and in space, of clips that come live or do not fit in memory.

A network of finite reach needs only that much of the neighbourhood to get a piece right: each piece is
converted with a margin, and the margin is cut away.

B clips, T latents, h w latent grid, C channels
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

Convert = Callable[[Tensor], Tensor]
Steps = Callable[[int], int]
Reach = tuple[int | None, int | None]  # latents before and after that one depends on; None: all


class Stream(Protocol):
    """Media to latents, or latents to media, as they come; in the end equal to converting them at once."""

    def push(self, piece: Tensor) -> Tensor | None:
        """Take the next steps [B, n, ...]; give back what they settle, None while that is nothing.

        Errors: ValueError as the conversion itself.
        """

    def flush(self) -> Tensor | None:
        """End the stream: give back what waited for a future that does not come, None where nothing did."""


class WindowStream:
    """A stream that converts a window of what came last.

    convert: the conversion of a whole, along axis 1; source, target: how many steps of what is pushed and of
    what comes back the first n latents take up.
    """

    def __init__(self, convert: Convert, source: Steps, target: Steps, reach: Reach) -> None:
        self._convert = convert
        self._source, self._target = source, target
        self._past, self._future = reach
        self._first = 0  # the latent at which the window begins
        self._done = 0  # latents given back
        self._window: Tensor | None = None

    def push(self, piece: Tensor) -> Tensor | None:
        self._window = piece if self._window is None else torch.cat([self._window, piece], dim=1)
        whole = 0
        while self._source(whole + 1) <= self._window.shape[1]:
            whole += 1
        if self._future is None or self._first + whole - self._future <= self._done:
            return None
        settled = self._first + whole - self._future
        made = self._convert(self._window[:, : self._source(whole)])
        made = made[:, self._place(self._done) : self._place(settled)]
        self._done = settled
        self._forget()
        return made

    def flush(self) -> Tensor | None:
        if self._window is None or self._window.shape[1] <= self._source(self._done - self._first):
            return None
        made = self._convert(self._window)[:, self._place(self._done) :]
        self._window = None
        return made

    def _place(self, latent: int) -> int:
        """Where a latent begins in the conversion of the window."""
        return self._target(latent - self._first)

    def _forget(self) -> None:
        if self._past is None:
            return
        # one latent more than the reach, for a window's first latent is converted as if it stood alone
        first = max(self._first, self._done - self._past - 1)
        self._window = self._window[:, self._source(first + 1) - self._source(self._first + 1) :]
        self._first = first


class StepStream:
    """The stream of a causal network that remembers its own past and takes one latent at a time.

    convert: the next latent's steps to what they become; source: how many steps the first n latents take up.
    """

    def __init__(self, convert: Convert, source: Steps) -> None:
        self._convert, self._source = convert, source
        self._done = 0
        self._waiting: Tensor | None = None

    def push(self, piece: Tensor) -> Tensor | None:
        waiting = piece if self._waiting is None else torch.cat([self._waiting, piece], dim=1)
        made = []
        while waiting.shape[1] >= (need := self._source(self._done + 1) - self._source(self._done)):
            made.append(self._convert(waiting[:, :need]))
            waiting = waiting[:, need:]
            self._done += 1
        self._waiting = waiting
        return torch.cat(made, dim=1) if made else None

    def flush(self) -> None:
        """Nothing waits. Errors: ValueError when the last latent is incomplete."""
        if self._waiting is not None and self._waiting.shape[1]:
            left, done = self._waiting.shape[1], self._done
            need = self._source(done + 1) - self._source(done)
            raise ValueError(f"the stream ends with {left} steps of a latent's {need}; cut or pad the clip")


def decode_chunks(stream: Stream, latents: Tensor, size: int) -> Iterator[Tensor]:
    """Decode latents [B, T, ...], `size` at a time, through a decoder's stream; the pieces join without seams."""
    for piece in latents.split(size, dim=1):
        if (made := stream.push(piece)) is not None:
            yield made
    if (made := stream.flush()) is not None:
        yield made


def decode_tiled(decode: Convert, latents: Tensor, stride: int, tile: int = 16, overlap: int = 4) -> Tensor:
    """Decode latents [B, T, h, w, C] in square tiles that overlap and fade into each other.

    stride: pixels to a latent; tile, overlap: in latents. Returns frames uint8 as `decode` does.
    Errors: ValueError when the overlap leaves no way forward.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"an overlap of {overlap} in tiles of {tile}; use 0 to {tile - 1}")
    height, width = latents.shape[2:4]
    total = weights = None
    for top in _places(height, tile, overlap):
        for left in _places(width, tile, overlap):
            made = decode(latents[:, :, top : top + tile, left : left + tile]).float()
            fade = torch.outer(
                _fade(made.shape[2], top > 0, top + tile < height, overlap * stride),
                _fade(made.shape[3], left > 0, left + tile < width, overlap * stride),
            ).to(made)
            if total is None:
                total = made.new_zeros(*made.shape[:2], height * stride, width * stride, made.shape[-1])
                weights = made.new_zeros(height * stride, width * stride)
            rows = slice(top * stride, top * stride + made.shape[2])
            columns = slice(left * stride, left * stride + made.shape[3])
            total[:, :, rows, columns] += made * fade[..., None]
            weights[rows, columns] += fade
    return (total / weights[..., None]).round().to(torch.uint8)


def _places(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin; the last one ends where the picture does."""
    last = max(0, length - tile)
    return [*range(0, last, tile - overlap), last]


def _fade(length: int, before: bool, after: bool, overlap: int) -> Tensor:
    """Weights that rise over the overlap with the tile before and fall over that with the tile after."""
    ramp = (torch.arange(overlap) + 1) / (overlap + 1)
    weights = torch.ones(length)
    if before:
        weights[:overlap] *= ramp
    if after:
        weights[length - overlap :] *= ramp.flip(0)
    return weights
