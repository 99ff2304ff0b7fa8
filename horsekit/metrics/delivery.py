"""How somebody speaks, by the sound alone: how loud, how fast and with how much melody."""

from collections.abc import Sequence
from dataclasses import dataclass

from horsekit.media import Sound
from horsekit.metrics.voice import BANDS, HOP, RATE, voice_moments

_WINDOW = 2 * HOP
_LOUD = 12.0  # dB under the loudest moment: above it are syllables, and no ambience


@dataclass(frozen=True)
class Manner:
    """level: dB of full scale, of the loudest tenth of moments the least; seconds: from the first loud syllable to the
    end of the last; melody: mean distance of the pitch from its median, in semitones."""

    level: float
    seconds: float
    melody: float


@dataclass(frozen=True)
class Contrast:
    """Whether a line that was asked for in two opposite manners (such as "soft", "loud") is heard in them."""

    opposites: tuple[str, str]
    right: bool


def manner_of(sound: Sound) -> Manner | None:
    """The manner of what is said, None where there is too little speech (see `voice_moments`)."""
    moments = voice_moments(sound)
    if moments is None:
        return None
    octaves, voiced, *_ = moments[:, BANDS:].unbind(1)
    sung = octaves[voiced > 0]
    frames = sound.mono().resampled(RATE).waveform[:, 0].unfold(0, _WINDOW, HOP)
    levels = 10 * frames.square().mean(1).clamp(min=1e-12).log10()
    loud = (levels > levels.max() - _LOUD).nonzero()[:, 0]
    return Manner(
        levels.quantile(0.9).item(),
        (loud[-1] - loud[0] + 1).item() * HOP / RATE,
        12 * (sung - sung.median()).abs().mean().item(),
    )


def contrast_of(sounds: Sequence[Sound], opposites: tuple[str, str]) -> Contrast:
    """Two sounds of one line, the second of which should be louder, faster or more melodious, as `opposites` say.

    A sound without speech is in no manner. Errors: ValueError for opposites that nothing here measures.
    """
    if opposites not in _RISING:
        raise ValueError(f"nothing measures {opposites}; choose one of {', '.join(map(str, _RISING))}")
    first, second = map(manner_of, sounds)
    rising = _RISING[opposites]
    return Contrast(opposites, None not in (first, second) and rising(first) < rising(second))


_RISING = {
    ("soft", "loud"): lambda manner: manner.level,
    ("slow", "fast"): lambda manner: -manner.seconds,
    ("flat", "lively"): lambda manner: manner.melody,
}
