"""Whether what is heard are the words that were asked for, whoever says them and however fast.

N, M moments 10 ms apart, C cepstral coefficients.
"""

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


def word_distance(heard: Sound, asked: Sound) -> float | None:
    """The mean distance of two utterances, best aligned in time: 0 the same, about 1 unrelated sounds.

    Cepstra of each, with its own mean and deviation taken out, so that the voice counts for little, compared by
    dynamic time warping (Sakoe and Chiba 1978) with one less their cosine. None where there is no speech.
    """
    tracks = [cepstra(sound) for sound in (heard, asked)]
    if any(len(track) < LEAST_SPEECH for track in tracks):
        return None
    first, second = (torch.nn.functional.normalize(track, dim=1) for track in tracks)
    return _warped(1 - first @ second.T)


def cepstra(sound: Sound) -> Tensor:
    """What is said, [N, C] normalised, from its first loud moment to its last; empty in silence."""
    waveform = sound.mono().resampled(RATE).waveform[:, 0]
    if len(waveform) < WINDOW or waveform.square().mean().sqrt() < LEAST_LEVEL:
        return torch.zeros(0, CEPSTRA)
    frames = waveform.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW)
    loud = frames.square().mean(1).sqrt()
    said = (loud > _QUIET * loud.max()).nonzero()[:, 0]
    frames = frames[int(said[0]) : int(said[-1]) + 1]
    logs = (torch.fft.rfft(frames).abs() @ mel_weights(WINDOW, BANDS, RATE) + 1e-4).log()
    places = (torch.arange(BANDS) + 0.5) * torch.pi / BANDS
    waves = (torch.arange(1, CEPSTRA + 1)[:, None] * places).cos()
    track = logs @ waves.T
    return (track - track.mean(0)) / track.std(0, correction=0).clamp(min=1e-3)


def _warped(cost: Tensor) -> float:
    """The mean cost [N, M] along the cheapest path from corner to corner, a diagonal step counted twice."""
    rows, columns = cost.shape
    total = torch.full((rows + 1, columns + 1), torch.inf, dtype=torch.float64)
    total[0, 0] = 0
    cost = cost.double()
    for diagonal in range(rows + columns - 1):  # all of a diagonal depends on the two before it alone
        i = torch.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        step = cost[i, j]
        across = torch.minimum(total[i, j + 1], total[i + 1, j]) + step
        total[i + 1, j + 1] = torch.minimum(across, total[i, j] + 2 * step)
    return (total[rows, columns] / (rows + columns)).item()
