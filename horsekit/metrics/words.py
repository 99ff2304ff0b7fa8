"""Whether what is heard are the words that were asked for, whoever says them and however fast, and when.

N, M moments 10 ms apart, C cepstral coefficients.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from horsekit.media import Sound
from horsekit.metrics.fidelity import mel_weights

RATE = 16_000
WINDOW, HOP = 512, 160  # samples
BANDS, CEPSTRA = 30, 12
LEAST_LEVEL = 1e-3  # root mean square: -60 dB of full scale
LEAST_SPEECH = 12  # moments
_QUIET = 10 ** (-35 / 20)  # of the loudest: below it nothing is said


class Speaking(NamedTuple):
    """What is said: normalised cepstra [N, C], and the second at which the first of its moments lies."""

    cepstra: Tensor
    start: float

    @property
    def seconds(self) -> Tensor:
        """When each moment is, [N]."""
        return self.start + torch.arange(len(self.cepstra), dtype=torch.float64) * (HOP / RATE)


def word_distance(heard: Sound, asked: Sound) -> float | None:
    """The mean distance of two utterances, best aligned in time: 0 the same, about 1 unrelated sounds.

    Cepstra of each, with its own mean and deviation taken out, so that the voice counts for little, compared by
    dynamic time warping (Sakoe and Chiba 1978) with one less their cosine. None where there is no speech.
    """
    cost = _cost(speaking(heard), speaking(asked))
    return None if cost is None else (_cheapest(cost)[-1, -1] / sum(cost.shape)).item()


def heard_at(heard: Sound, asked: Sound, times: Tensor) -> Tensor | None:
    """The seconds [P] of `heard` in which what is said at `times` [P] of `asked` is said, None without speech.

    By the alignment that word_distance measures; before and after what is said, time runs as fast in both.
    """
    first, second = speaking(heard), speaking(asked)
    cost = _cost(first, second)
    if cost is None:
        return None
    i, j = _path(_cheapest(cost), cost)
    sums = torch.zeros(2, len(second.cepstra), dtype=torch.float64)
    sums.index_add_(1, j, torch.stack([first.seconds[i], torch.ones(len(i), dtype=torch.float64)]))
    matched = sums[0] / sums[1]
    at = (times - second.start) * (RATE / HOP)
    left = at.floor().long().clamp(0, len(matched) - 2)
    part = (at - left).clamp(0, 1)
    beyond = (at - at.clamp(0, len(matched) - 1)) * (HOP / RATE)
    return matched[left] * (1 - part) + matched[left + 1] * part + beyond


def speaking(sound: Sound) -> Speaking:
    """What is said, from its first loud moment to its last; empty in silence."""
    waveform = sound.mono().resampled(RATE).waveform[:, 0]
    if len(waveform) < WINDOW or waveform.square().mean().sqrt() < LEAST_LEVEL:
        return Speaking(torch.zeros(0, CEPSTRA), 0.0)
    frames = waveform.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW)
    loud = frames.square().mean(1).sqrt()
    said = (loud > _QUIET * loud.max()).nonzero()[:, 0]
    frames = frames[int(said[0]) : int(said[-1]) + 1]
    logs = (torch.fft.rfft(frames).abs() @ mel_weights(WINDOW, BANDS, RATE) + 1e-4).log()
    places = (torch.arange(BANDS) + 0.5) * torch.pi / BANDS
    waves = (torch.arange(1, CEPSTRA + 1)[:, None] * places).cos()
    track = logs @ waves.T
    track = (track - track.mean(0)) / track.std(0, correction=0).clamp(min=1e-3)
    return Speaking(track, (int(said[0]) * HOP + WINDOW / 2) / RATE)


def _cost(first: Speaking, second: Speaking) -> Tensor | None:
    """How unlike every two moments are, [N, M], None where either says too little."""
    if min(len(first.cepstra), len(second.cepstra)) < LEAST_SPEECH:
        return None
    a, b = (torch.nn.functional.normalize(of.cepstra, dim=1) for of in (first, second))
    return (1 - a @ b.T).double()


def _cheapest(cost: Tensor) -> Tensor:
    """The cost [N + 1, M + 1] of the cheapest path to every pair of moments, a diagonal step counted twice."""
    rows, columns = cost.shape
    total = torch.full((rows + 1, columns + 1), torch.inf, dtype=torch.float64)
    total[0, 0] = 0
    for diagonal in range(rows + columns - 1):  # all of a diagonal depends on the two before it alone
        i = torch.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        step = cost[i, j]
        across = torch.minimum(total[i, j + 1], total[i + 1, j]) + step
        total[i + 1, j + 1] = torch.minimum(across, total[i, j] + 2 * step)
    return total


def _path(total: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Which moments of both the cheapest path pairs, [K] each, from the last pair to the first."""
    sums, step = total.tolist(), cost.tolist()
    i, j = cost.shape
    pairs = [(i - 1, j - 1)]
    while (i, j) != (1, 1):
        here = sums[i][j]
        own = step[i - 1][j - 1]
        ways = {(i - 1, j): own, (i, j - 1): own, (i - 1, j - 1): 2 * own}
        i, j = min(ways, key=lambda way: abs(sums[way[0]][way[1]] + ways[way] - here))
        pairs.append((i - 1, j - 1))
    first, second = torch.tensor(pairs).T
    return first, second
