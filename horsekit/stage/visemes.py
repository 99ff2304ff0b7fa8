"""Mouth shapes of speech: IPA phonemes to visemes to a smooth mouth track on the frame clock.

F frames, K keys of the curve, 5 mouth parameters (aperture, width, rounding, teeth, tongue), all in 0..1.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from horsekit.clock import frame_times

MOUTH = ("aperture", "width", "rounding", "teeth", "tongue")


@dataclass(frozen=True)
class Viseme:
    """A mouth shape and how firmly it holds against its neighbours (1: always reached)."""

    aperture: float
    width: float
    rounding: float
    teeth: float
    tongue: float
    firmness: float

    @property
    def shape(self) -> tuple[float, ...]:
        return (self.aperture, self.width, self.rounding, self.teeth, self.tongue)


VISEMES: dict[str, Viseme] = {
    #                     aperture width rounding teeth tongue firmness
    "rest": Viseme(0.00, 0.50, 0.00, 0.00, 0.00, 1.0),
    "closed": Viseme(0.00, 0.50, 0.10, 0.00, 0.00, 1.0),
    "labiodental": Viseme(0.12, 0.52, 0.00, 0.90, 0.00, 0.9),
    "dental": Viseme(0.25, 0.55, 0.00, 0.60, 0.90, 0.7),
    "alveolar": Viseme(0.28, 0.55, 0.00, 0.50, 0.60, 0.6),
    "sibilant": Viseme(0.16, 0.70, 0.00, 1.00, 0.10, 0.8),
    "postalveolar": Viseme(0.24, 0.35, 0.60, 0.80, 0.10, 0.8),
    "velar": Viseme(0.35, 0.50, 0.05, 0.20, 0.10, 0.3),
    "rhotic": Viseme(0.30, 0.40, 0.40, 0.25, 0.40, 0.6),
    "glide": Viseme(0.14, 0.15, 1.00, 0.00, 0.00, 0.8),
    "spread": Viseme(0.36, 0.95, 0.00, 0.55, 0.20, 0.8),
    "mid": Viseme(0.60, 0.80, 0.00, 0.40, 0.10, 0.8),
    "open": Viseme(1.00, 0.70, 0.00, 0.25, 0.10, 0.9),
    "central": Viseme(0.55, 0.55, 0.10, 0.25, 0.10, 0.6),
    "round_open": Viseme(0.72, 0.35, 0.75, 0.00, 0.00, 0.8),
    "round_close": Viseme(0.30, 0.12, 1.00, 0.00, 0.00, 0.8),
}

_LETTERS: dict[str, str] = {
    letter: viseme
    for viseme, letters in {
        "closed": "pbmɓʙ",
        "labiodental": "fvɱʋɸβ",
        "dental": "θð",
        "alveolar": "tdnlɾɽɫʈɖɳɭɗɬɮ",
        "sibilant": "szʂʐ",
        "postalveolar": "ʃʒɕʑ",
        "velar": "kɡgŋxɣχhɦqɢʁɴʔcɟçɲʎħʕʀ",
        "rhotic": "ɹrɻɚɝ",
        "glide": "wʍɥ",
        "spread": "iɪjɨᵻ",
        "mid": "eɛæ",
        "open": "aɑɶɒ",
        "central": "əʌɐɜɘɤɵɞ",
        "round_open": "oɔœø",
        "round_close": "uʊyʏʉɯ",
    }.items()
    for letter in letters
}
_VOWELS = {"spread", "mid", "open", "central", "round_open", "round_close"}
_RELEASED = {"sibilant", "postalveolar", "velar"}  # what a stop's release says in tʃ, ts, tʰ: one gesture


@dataclass(frozen=True)
class Phoneme:
    """A phoneme as espeak spells it in IPA ("" is a pause), from `start` to `end` in seconds."""

    symbol: str
    start: float
    end: float

    @property
    def centre(self) -> float:
        return 0.5 * (self.start + self.end)

    @property
    def visemes(self) -> tuple[str, ...]:
        """Names of the mouth shapes it passes through: one, or two for a diphthong."""
        return visemes_of(self.symbol)


def visemes_of(symbol: str) -> tuple[str, ...]:
    """Mouth shapes of one IPA symbol: diphthongs have two, a pause is `rest`, the unknown is `central`."""
    if not symbol.strip(" _:"):
        return ("rest",)
    letters = unicodedata.normalize("NFD", symbol)
    shapes: list[str] = []
    for shape in (_LETTERS[letter] for letter in letters if letter in _LETTERS):
        if shapes and shape == shapes[-1]:
            continue
        if shapes and shape in _RELEASED and shapes[-1] in {"closed", "alveolar", *_RELEASED}:
            shapes[-1] = shape if shapes[-1] != "closed" else "closed"
            continue
        shapes.append(shape)
    return tuple(shapes) or ("central",)


_PAUSE = 0.12  # shorter pauses are closures inside a word; the mouth does not rest in them
_LEAD = 0.06  # the mouth leaves rest this long before the sound and returns this long after
_UNSTRESSED = 0.8
_FULL = 0.08  # a phoneme shorter than this undershoots its shape


@dataclass(frozen=True)
class _Key:
    time: float
    shape: tuple[float, ...]
    firmness: float


def _keys(phonemes: Sequence[Phoneme]) -> list[_Key]:
    """Points that the mouth passes through, before the soft ones give way to their neighbours."""
    rest = VISEMES["rest"].shape
    keys: list[_Key] = []
    spoken = [p for p in phonemes if p.visemes != ("rest",)]
    for index, phoneme in enumerate(spoken):
        length = phoneme.end - phoneme.start
        before = spoken[index - 1].end if index else -math.inf
        if phoneme.start - before >= _PAUSE:
            keys.append(_Key(phoneme.start - _LEAD, rest, 1.0))
        for order, name in enumerate(phoneme.visemes):
            viseme = VISEMES[name]
            shape = viseme.shape
            if name in _VOWELS and not {"ˈ", "ˌ"} & set(phoneme.symbol):
                shape = (shape[0] * _UNSTRESSED, *shape[1:])
            place = phoneme.start + length * (order + 0.5) / len(phoneme.visemes)
            if name == "closed":  # lips stay shut for the middle half, not for an instant
                half = 0.25 * length / len(phoneme.visemes)
                keys += [_Key(place - half, shape, 1.0), _Key(place + half, shape, 1.0)]
            else:
                keys.append(_Key(place, shape, viseme.firmness * min(1.0, length / _FULL)))
        after = spoken[index + 1].start if index + 1 < len(spoken) else math.inf
        if after - phoneme.end >= _PAUSE:
            keys.append(_Key(phoneme.end + _LEAD, rest, 1.0))
    return keys


def mouth_at(phonemes: Sequence[Phoneme], times: Tensor) -> Tensor:
    """The continuous mouth curve at `times` [F] seconds -> [F, 5] float32 in 0..1.

    Shapes are reached at phoneme centres, /p b m/ with the lips shut there; soft consonants lean towards
    their neighbours (coarticulation); raised-cosine steps between; rest where nothing is said.
    """
    keys = _keys(phonemes)
    rest = torch.tensor(VISEMES["rest"].shape, dtype=torch.float64)
    if not keys:
        return rest.float().expand(len(times), 5).clone()
    at = torch.tensor([key.time for key in keys], dtype=torch.float64)
    shapes = torch.tensor([key.shape for key in keys], dtype=torch.float64)
    firm = torch.tensor([key.firmness for key in keys], dtype=torch.float64)[:, None]
    around = torch.cat([rest[None], shapes, rest[None]])
    shapes = firm * shapes + (1 - firm) * 0.5 * (around[:-2] + around[2:])

    times = times.to(torch.float64)
    right = torch.searchsorted(at, times, right=True).clamp(1, len(keys) - 1)
    left = right - 1
    span = (at[right] - at[left]).clamp(min=1e-9)
    blend = 0.5 - 0.5 * torch.cos(math.pi * ((times - at[left]) / span).clamp(0, 1))[:, None]
    return ((1 - blend) * shapes[left] + blend * shapes[right]).clamp(0, 1).float()


def mouth_track(phonemes: Sequence[Phoneme], frames: int) -> Tensor:
    """The mouth on the 25 fps clock: the continuous curve at the start of each frame -> [F, 5] float32."""
    return mouth_at(phonemes, frame_times(frames))
