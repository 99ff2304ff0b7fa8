"""The cast: characters whose whole identity is a vector of known parameters, and a voice."""

import colorsys
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from horsekit.stage.seeding import choice, generator, uniform


@dataclass(frozen=True)
class Parameter:
    """One entry of a character's vector, stored in 0..1.

    continuous: 0..1 maps to low..high (`meaning` gives the unit; a head is about one unit wide);
    hue: 0..1 is a turn of the colour wheel; categorical: choice i is stored as i / (n − 1).
    """

    name: str
    kind: Literal["continuous", "categorical", "hue"]
    meaning: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()


def _continuous(name: str, low: float, high: float, meaning: str) -> Parameter:
    return Parameter(name, "continuous", meaning, low, high)


def _hue(name: str, meaning: str) -> Parameter:
    return Parameter(name, "hue", meaning)


def _kind(name: str, meaning: str, *choices: str) -> Parameter:
    return Parameter(name, "categorical", meaning, choices=choices)


PARAMETERS: tuple[Parameter, ...] = (
    _continuous("head_width", 0.47, 0.57, "half width of the skull"),
    _continuous("head_height", 0.47, 0.57, "half height of the skull"),
    _continuous("jaw_width", 0.70, 1.06, "half width of the jaw, in skull half widths"),
    _continuous("body_width", 0.60, 0.82, "half width of the torso"),
    _hue("skin_hue", "colour wheel"),
    _continuous("skin_saturation", 0.28, 0.66, "HSV saturation"),
    _continuous("skin_value", 0.66, 0.97, "HSV value"),
    _continuous("eye_size", 0.135, 0.18, "radius of an eyeball"),
    _continuous("eye_spacing", 0.195, 0.24, "half the distance between the eyes"),
    _hue("iris_hue", "colour wheel"),
    _kind("nose_kind", "shape of the nose", "button", "round", "long", "wide", "beak"),
    _continuous("nose_size", 0.8, 1.25, "scale of the nose"),
    _kind("ear_kind", "shape of the ears", "none", "round", "pointed", "floppy", "cat", "bear", "rabbit"),
    _continuous("ear_size", 0.8, 1.2, "scale of the ears"),
    _kind(
        "hat_kind", "headwear", "none", "beanie", "top hat", "party hat", "sun hat", "cap", "beret", "crown"
    ),
    _hue("hat_hue", "colour wheel"),
    _continuous("hat_value", 0.45, 0.95, "HSV value"),
    _kind("hair_kind", "hair", "none", "short", "bob", "long", "curly", "pigtails", "mohawk", "buns"),
    _hue("hair_hue", "colour wheel"),
    _continuous("hair_value", 0.18, 0.85, "HSV value"),
    _kind("garment_kind", "cut", "crew neck", "turtleneck", "v-neck", "hoodie", "dungarees", "coat"),
    _hue("garment_hue", "colour wheel"),
    _continuous("garment_value", 0.40, 0.92, "HSV value"),
    _kind("pattern_kind", "pattern of the cloth", "plain", "hoops", "pinstripes", "dots", "plaid", "yoke"),
    _hue("pattern_hue", "colour wheel"),
    _continuous("pattern_scale", 0.17, 0.27, "period of the pattern"),
    _kind("accessory_kind", "accessory", "none", "glasses", "scarf", "earrings", "bow tie"),
    _hue("accessory_hue", "colour wheel"),
    _kind("emblem_kind", "chest emblem", "none", "disc", "ring", "star", "heart", "diamond", "cross"),
    _hue("emblem_hue", "colour wheel"),
    _continuous("mouth_width", 0.205, 0.255, "half width of the mouth at rest"),
    _continuous("lip_fullness", 0.028, 0.052, "thickness of a lip"),
    _hue("lip_hue", "colour wheel"),
    _continuous("brow_thickness", 0.018, 0.045, "half thickness of a brow"),
    _continuous("brow_tilt", -0.16, 0.40, "turn of a brow in radians, outer end down"),
    _continuous("cheek_blush", 0.0, 0.8, "strength of the blush on the cheeks"),
)

_INDEX = {parameter.name: i for i, parameter in enumerate(PARAMETERS)}
_HATS_OVER = ("none", "short", "bob", "long", "curly", "pigtails")
_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
_LEAST_PITCH_APART = 4.0  # of espeak's 0..99, about a semitone


@dataclass(frozen=True)
class Voice:
    """How a character sounds: espeak variant, pitch 0..99, rate in words per minute."""

    variant: str = "m1"
    pitch: float = 50.0
    rate: int = 165

    @classmethod
    def draw(cls, seed: int) -> "Voice":
        source = generator(seed, "voice")
        variant = choice(source, _VARIANTS)
        return cls(variant, _draw_pitch(source, variant), int(uniform(source, 145, 190)))

    def near(self, source: torch.Generator) -> "Voice":
        """A voice as fast as this one that may be taken for it: of the same timbre three times in four, and of
        another pitch."""
        variant = self.variant if uniform(source, 0, 1) < 0.75 else choice(source, _VARIANTS)
        pitch = self.pitch
        while abs(pitch - self.pitch) < _LEAST_PITCH_APART:
            pitch = _draw_pitch(source, variant)
        return replace(self, variant=variant, pitch=pitch)


@dataclass(frozen=True, eq=False)
class Character:
    """An identity: parameters [P] float32 in 0..1 (see PARAMETERS) and a voice."""

    parameters: Tensor
    voice: Voice = Voice()

    @classmethod
    def draw(cls, seed: int) -> "Character":
        """The character of a seed, the same in every process."""
        source = generator(seed, "cast")
        drawn = {p.name: _draw(p, source) for p in PARAMETERS}
        skin = drawn["skin_hue"]
        # cloth, hat and hair keep clear of the skin's hue, or the parts would melt into one another
        for part in ("garment_hue", "hat_hue", "hair_hue"):
            drawn[part] = (skin + uniform(source, 0.14, 0.86)) % 1.0
        for part in ("pattern_hue", "emblem_hue"):
            drawn[part] = (drawn["garment_hue"] + uniform(source, 0.2, 0.8)) % 1.0
        drawn["lip_hue"] = (1.0 + uniform(source, -0.08, 0.03)) % 1.0
        # a bare head every fourth time, or the hair would hardly be seen
        if uniform(source, 0, 1) < 0.15:
            drawn["hat_kind"] = 0.0
        if drawn["hat_kind"] > 0:
            drawn["hair_kind"] = _stored("hair_kind", choice(source, _HATS_OVER))
        values = [drawn[p.name] for p in PARAMETERS]
        return cls.from_parameters(torch.tensor(values, dtype=torch.float32), Voice.draw(seed))

    @classmethod
    def from_parameters(cls, parameters: Tensor, voice: Voice = Voice()) -> "Character":
        """The nearest valid character: categories snap, hues wrap, the rest is clamped to 0..1.

        Raises ValueError for a vector of another length or one that is not finite.
        """
        if parameters.shape != (len(PARAMETERS),):
            shape = list(parameters.shape)
            raise ValueError(f"character parameters have shape {shape}; give one vector of {len(PARAMETERS)}")
        if not parameters.isfinite().all():
            bad = PARAMETERS[int((~parameters.isfinite()).nonzero()[0])].name
            raise ValueError(f"character parameter {bad!r} is not finite; give numbers in 0..1")
        snapped = parameters.detach().to("cpu", torch.float32).clamp(0, 1)
        for i, parameter in enumerate(PARAMETERS):
            if parameter.kind == "hue":
                snapped[i] = parameters[i].to("cpu", torch.float32) % 1.0
            elif parameter.kind == "categorical":
                steps = len(parameter.choices) - 1
                snapped[i] = round(snapped[i].item() * steps) / steps
        return cls(snapped, voice)

    def __getitem__(self, name: str) -> float | str:
        """A parameter by name: its value in its own unit, a hue in 0..1, or the name of the choice."""
        if name not in _INDEX:
            raise ValueError(f"no character parameter {name!r}; there are {', '.join(_INDEX)}")
        parameter, stored = PARAMETERS[_INDEX[name]], self.parameters[_INDEX[name]].item()
        if parameter.kind == "categorical":
            return parameter.choices[round(stored * (len(parameter.choices) - 1))]
        return parameter.low + (parameter.high - parameter.low) * stored

    @cached_property
    def colours(self) -> dict[str, tuple[float, float, float]]:
        """sRGB in 0..1 of skin, iris, hat, hair, garment, pattern, accessory, emblem and lips."""
        skin = colorsys.hsv_to_rgb(self["skin_hue"], self["skin_saturation"], self["skin_value"])
        lip = colorsys.hsv_to_rgb(self["lip_hue"], 0.72, 0.72)
        light_cloth = self["garment_value"] > 0.66
        return {
            "skin": skin,
            "iris": colorsys.hsv_to_rgb(self["iris_hue"], 0.75, 0.62),
            "hat": colorsys.hsv_to_rgb(self["hat_hue"], 0.68, self["hat_value"]),
            "hair": colorsys.hsv_to_rgb(self["hair_hue"], 0.55, self["hair_value"]),
            "garment": colorsys.hsv_to_rgb(self["garment_hue"], 0.66, self["garment_value"]),
            "pattern": colorsys.hsv_to_rgb(self["pattern_hue"], 0.55, 0.45 if light_cloth else 0.92),
            "accessory": colorsys.hsv_to_rgb(self["accessory_hue"], 0.78, 0.72),
            "emblem": colorsys.hsv_to_rgb(self["emblem_hue"], 0.62, 0.36 if light_cloth else 0.98),
            "lips": tuple(0.72 * a + 0.28 * b * 0.8 for a, b in zip(lip, skin, strict=True)),
        }


def _draw_pitch(source: torch.Generator, variant: str) -> float:
    low, high = (45.0, 88.0) if variant.startswith("f") else (15.0, 62.0)
    return round(uniform(source, low, high), 1)


def _draw(parameter: Parameter, source: torch.Generator) -> float:
    if parameter.kind == "categorical":
        return _stored(parameter.name, choice(source, parameter.choices))
    return uniform(source, 0.0, 1.0)


def _stored(name: str, option: str) -> float:
    choices = PARAMETERS[_INDEX[name]].choices
    return choices.index(option) / (len(choices) - 1)


def character_distance(a: Character | Tensor, b: Character | Tensor) -> Tensor:
    """Mean distance over the parameters, 0..1: hues go round, categories count 0 or 1.

    a, b: characters or vectors [..., P], broadcast against each other; returns [...].
    """
    a, b = (x.parameters if isinstance(x, Character) else x for x in (a, b))
    kinds = [p.kind for p in PARAMETERS]
    hue = torch.tensor([k == "hue" for k in kinds], device=a.device)
    categorical = torch.tensor([k == "categorical" for k in kinds], device=a.device)
    steps = torch.tensor([max(len(p.choices) - 1, 1) for p in PARAMETERS], device=a.device)
    gap = (a - b).abs()
    gap = torch.where(hue, 2 * torch.minimum(gap % 1.0, 1.0 - gap % 1.0), gap)
    differs = (a * steps).round() != (b * steps).round()
    return torch.where(categorical, differs.to(gap.dtype), gap).mean(-1)
