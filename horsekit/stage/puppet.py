"""A character as solids: what each parameter of the cast looks like."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from horsekit.stage.cast import PARAMETERS, Character
from horsekit.stage.solids import Quadric, ball, cone

# a character's bones
TORSO, HEAD, JAW = range(3)
# what a surface is painted with
PLAIN, SKIN, FACE, EYE, CLOTH = range(5)
# where the neck turns and where the face's parts sit, in the head's own frame
PIVOT = (0.0, -0.42, -0.06)
EYE_HEIGHT = 0.05
MOUTH_HEIGHT = -0.29
EMBLEM_HEIGHT = -1.06
# how far the jaw drops at full aperture
JAW_DROP = 0.07

# highlight strength and exponent of cloth, satin and metal; skin takes the light's
_MATTE, _SATIN, _METAL = (0.0, 10.0), (0.22, 24.0), (0.7, 34.0)


class Part(NamedTuple):
    """A solid of a character: its quadric, bone, linear RGB, paint and highlight."""

    quadric: Quadric
    bone: int
    colour: tuple[float, float, float]
    paint: int = PLAIN
    gloss: tuple[float, float] = _MATTE


class Looks(NamedTuple):
    """What the paints of a character need: `numbers` [L] float and `kinds` [3] long.

    numbers are named by LOOKS; kinds are the indices of garment, pattern and emblem.
    """

    numbers: Tensor
    kinds: Tensor


LOOKS = (
    *(f"{part}_{c}" for part in ("skin", "lips", "iris", "garment", "pattern", "emblem") for c in "rgb"),
    *("mouth_width", "lip_fullness", "blush", "pattern_scale", "eye_spacing", "eye_size"),
    *("skull_x", "skull_y", "skull_z", "jaw_x", "jaw_y", "jaw_z"),
)
SKULL_CENTRE = (0.0, 0.06, 0.0)
JAW_CENTRE = (0.0, -0.17, 0.03)


def linear(colour: tuple[float, ...]) -> tuple[float, ...]:
    """sRGB in 0..1 to linear light."""
    return tuple(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)


@dataclass
class _Build:
    """Collects parts; x is mirrored by `pair`."""

    character: Character
    parts: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tint = {name: linear(colour) for name, colour in self.character.colours.items()}

    def add(self, quadric: Quadric, colour, bone: int = HEAD, paint: int = PLAIN, gloss=_MATTE) -> None:
        self.parts.append(Part(quadric, bone, self.tint.get(colour, colour), paint, gloss))

    def balls(self, centre, radii, colour, roll=0.0, **rest) -> None:
        """A ball on either side."""
        x, y, z = centre
        shape = {k: rest.pop(k) for k in ("pitch", "low", "high") if k in rest}
        for side in (-1, 1):
            self.add(ball((side * x, y, z), radii, roll=side * roll, **shape), colour, **rest)

    def cones(self, start, end, first, last, colour, **rest) -> None:
        """A cone on either side."""
        for side in (-1, 1):
            a, b = (side * start[0], *start[1:]), (side * end[0], *end[1:])
            self.add(cone(a, b, first, last), colour, **rest)


def parts(character: Character) -> tuple[Part, ...]:
    """The solids of a character, head and jaw first."""
    build = _Build(character)
    for make in (_face, _nose, _ears, _hair, _hat, _body, _accessory):
        make(build)
    return tuple(build.parts)


@lru_cache(maxsize=512)
def looks(character: Character) -> Looks:
    """What the paints of a character need."""
    c = character
    tint = [linear(c.colours[n]) for n in ("skin", "lips", "iris", "garment", "pattern", "emblem")]
    numbers = [value for colour in tint for value in colour]
    numbers += [c["mouth_width"], c["lip_fullness"], c["cheek_blush"], c["pattern_scale"]]
    numbers += [c["eye_spacing"], c["eye_size"], *skull_radii(c), *jaw_radii(c)]
    choices = {p.name: p.choices for p in PARAMETERS}
    kinds = [choices[k].index(c[k]) for k in ("garment_kind", "pattern_kind", "emblem_kind")]
    return Looks(torch.tensor(numbers), torch.tensor(kinds))


def skull_radii(c: Character) -> tuple[float, float, float]:
    return c["head_width"], c["head_height"], 0.94 * c["head_width"]


def jaw_radii(c: Character) -> tuple[float, float, float]:
    return c["head_width"] * c["jaw_width"] * 0.94, 0.79 * c["head_height"], 0.9 * c["head_width"]


def front(c: Character, x: float, y: float) -> float:
    """z of the face at (x, y) in the head's frame."""
    depths = [0.0]
    for centre, radii in ((SKULL_CENTRE, skull_radii(c)), (JAW_CENTRE, jaw_radii(c))):
        rest = 1 - ((x - centre[0]) / radii[0]) ** 2 - ((y - centre[1]) / radii[1]) ** 2
        depths.append(centre[2] + radii[2] * math.sqrt(max(rest, 0.0)))
    return max(depths)


def _face(b: _Build) -> None:
    c = b.character
    b.add(ball(SKULL_CENTRE, skull_radii(c)), "skin", paint=FACE)
    b.add(ball(JAW_CENTRE, jaw_radii(c)), "skin", JAW, FACE)
    size, spacing = c["eye_size"], c["eye_spacing"]
    depth = front(c, spacing, EYE_HEIGHT) - 0.52 * size
    b.balls((spacing, EYE_HEIGHT, depth), (size,) * 3, (0.9, 0.9, 0.88), paint=EYE, gloss=_SATIN)
    brow = EYE_HEIGHT + 1.05 * size + 0.035
    thick = c["brow_thickness"]
    b.balls(
        (spacing + 0.01, brow, front(c, spacing, brow) + 0.01),
        (0.8 * size, thick, 0.05),
        tuple(0.6 * x for x in b.tint["hair"]),
        roll=-c["brow_tilt"],
    )


def _nose(b: _Build) -> None:
    c = b.character
    s, y = c["nose_size"], -0.085
    z = front(c, 0.0, y)
    tint = tuple(x * k for x, k in zip(b.tint["skin"], (0.94, 0.72, 0.72), strict=True))
    rest = {"paint": SKIN}
    match c["nose_kind"]:
        case "button":
            b.add(ball((0, y, z), (0.06 * s, 0.055 * s, 0.06 * s)), tint, **rest)
        case "round":
            b.add(ball((0, y, z + 0.03), (0.1 * s,) * 3), tint, **rest)
        case "long":
            b.add(ball((0, y - 0.01, z + 0.1 * s), (0.06 * s, 0.065 * s, 0.19 * s), pitch=0.25), tint, **rest)
        case "wide":
            b.add(ball((0, y, z + 0.01), (0.15 * s, 0.07 * s, 0.09 * s)), tint, **rest)
        case "beak":
            beak = linear((0.98, 0.68, 0.16))
            tip = (0, y - 0.05, z + 0.2 * s)
            b.add(cone((0, y + 0.01, z - 0.08), tip, 0.11 * s, 0.012), beak, gloss=_SATIN)
            b.add(ball(tip, (0.014,) * 3), beak)


def _ears(b: _Build) -> None:
    c = b.character
    s, w, top = c["ear_size"], c["head_width"], SKULL_CENTRE[1] + c["head_height"]
    inner = tuple(x * k for x, k in zip(b.tint["skin"], (0.9, 0.55, 0.6), strict=True))
    skin = {"paint": SKIN}
    match c["ear_kind"]:
        case "round":
            b.balls((w + 0.05, 0.0, -0.02), (0.12 * s, 0.15 * s, 0.07), "skin", **skin)
            b.balls((w + 0.06, 0.0, 0.03), (0.07 * s, 0.09 * s, 0.04), inner, **skin)
        case "pointed":
            b.cones((w * 0.86, 0.02, 0.0), (w + 0.3 * s, 0.26 * s, -0.06), 0.12 * s, 0.01, "skin", **skin)
        case "floppy":
            b.balls((w + 0.07, -0.1, 0.0), (0.11 * s, 0.31 * s, 0.09), inner, roll=-0.22, **skin)
        case "cat":
            b.cones((0.31, top - 0.2, 0.0), (0.4, top + 0.26 * s, 0.0), 0.18 * s, 0.01, "skin", **skin)
            b.cones((0.31, top - 0.16, 0.08), (0.39, top + 0.17 * s, 0.05), 0.11 * s, 0.01, inner, **skin)
        case "bear":
            b.balls((0.37, top - 0.08, -0.02), (0.17 * s, 0.17 * s, 0.09), "skin", **skin)
            b.balls((0.37, top - 0.08, 0.05), (0.1 * s, 0.1 * s, 0.05), inner, **skin)
        case "rabbit":
            b.balls((0.25, top + 0.05, -0.1), (0.1 * s, 0.3 * s, 0.07), "skin", roll=-0.3, **skin)
            b.balls((0.255, top + 0.06, -0.04), (0.055 * s, 0.22 * s, 0.05), inner, roll=-0.3, **skin)


def _hair(b: _Build) -> None:
    c = b.character
    w, h, top = c["head_width"], c["head_height"], SKULL_CENTRE[1] + c["head_height"]
    kind = c["hair_kind"]
    if kind in ("short", "bob", "long", "pigtails", "buns"):
        cap = ball((0, 0.07, -0.04), (w + 0.045, h + 0.04, 0.94 * w + 0.045), pitch=-0.42, low=0.3)
        b.add(cap, "hair", gloss=_SATIN)
        b.add(ball((0, 0.04, -0.12), (w + 0.03, h, 0.84 * w)), "hair", gloss=_SATIN)
    match kind:
        case "bob":
            b.add(ball((0, -0.1, -0.16), (w + 0.17, 0.52, 0.42)), "hair", gloss=_SATIN)
        case "long":
            b.add(ball((0, -0.42, -0.24), (w + 0.13, 0.86, 0.34)), "hair", gloss=_SATIN)
        case "curly":
            for i in range(9):
                angle = math.radians(-100 + 25 * i)
                x, y = (w + 0.02) * math.sin(angle), 0.1 + (h + 0.0) * math.cos(angle)
                b.add(ball((x, y, -0.06), (0.17, 0.17, 0.2)), "hair")
            b.add(ball((0, 0.08, -0.16), (w + 0.04, h + 0.02, 0.8 * w)), "hair")
        case "pigtails":
            b.balls((w + 0.15, -0.12, -0.08), (0.12, 0.27, 0.12), "hair", roll=-0.35, gloss=_SATIN)
            b.balls((w + 0.06, 0.1, -0.06), (0.07, 0.07, 0.07), "accessory")
        case "mohawk":
            for i in range(6):
                angle = math.radians(52 - 27 * i)
                y, z = 0.06 + (h + 0.06) * math.cos(angle), (0.94 * w + 0.02) * math.sin(angle)
                b.add(ball((0, y, z), (0.075, 0.17, 0.15), pitch=angle), "hair")
        case "buns":
            b.balls((0.36, top - 0.02, -0.06), (0.18, 0.17, 0.17), "hair", gloss=_SATIN)


def _hat(b: _Build) -> None:
    c = b.character
    w = c["head_width"]
    trim = tuple(0.25 + 0.6 * x for x in b.tint["accessory"])
    dark = tuple(0.45 * x for x in b.tint["hat"])
    match c["hat_kind"]:
        case "beanie":
            b.add(ball((0, 0.3, -0.02), (0.93 * w + 0.05, 0.42, 0.9 * w + 0.05), low=0.0), "hat")
            b.add(ball((0, 0.35, -0.02), (0.92 * w + 0.07, 0.1, 0.9 * w + 0.07)), trim)
            b.add(ball((0, 0.77, -0.02), (0.16, 0.15, 0.16)), trim)
        case "top hat":
            b.add(cone((0, 0.36, 0), (0, 0.39, 0), w * 0.6, w + 0.17), "hat", gloss=_SATIN)
            b.add(cone((0, 0.36, 0), (0, 0.8, 0), w * 0.82, w * 0.9), "hat", gloss=_SATIN)
            b.add(ball((0, 0.8, 0), (w * 0.9, 0.035, w * 0.9)), "hat", gloss=_SATIN)
            b.add(cone((0, 0.38, 0), (0, 0.5, 0), w * 0.84, w * 0.862), trim)
        case "party hat":
            b.add(cone((0, 0.37, 0), (0, 0.93, 0), w * 0.82, 0.01), "hat")
            for y in (0.47, 0.66):
                radius = [w * 0.82 * (0.93 - h) / 0.56 + 0.008 for h in (y, y + 0.075)]
                b.add(cone((0, y, 0), (0, y + 0.075, 0), *radius), trim)
            b.add(ball((0, 0.9, 0), (0.085,) * 3), trim)
        case "sun hat":
            b.add(ball((0, 0.36, -0.02), (0.86 * w, 0.38, 0.86 * w), low=0.0), "hat")
            b.add(cone((0, 0.41, -0.02), (0, 0.34, -0.02), 0.7 * w, w + 0.34), "hat")
            b.add(cone((0, 0.38, -0.02), (0, 0.49, -0.02), 0.88 * w, 0.84 * w), trim)
        case "cap":
            b.add(ball((0, 0.31, -0.03), (0.9 * w + 0.04, 0.34, 0.9 * w + 0.05), low=0.0), "hat")
            b.add(ball((0, 0.375, 0.8 * w), (0.8 * w, 0.05, 0.46), pitch=0.32), trim)
            b.add(ball((0, 0.65, -0.03), (0.07, 0.04, 0.07)), trim)
        case "beret":
            b.add(ball((0.07, 0.46, -0.03), (w + 0.13, 0.2, w + 0.08), pitch=-0.1, roll=-0.22), "hat")
            b.add(ball((0, 0.36, 0.0), (0.9 * w, 0.07, 0.88 * w), roll=-0.1), dark)
            b.add(ball((0.12, 0.67, -0.03), (0.03, 0.07, 0.03)), dark)
        case "crown":
            b.add(cone((0, 0.37, 0), (0, 0.6, 0), 0.8 * w, 0.9 * w), "hat", gloss=_METAL)
            b.add(cone((0, 0.37, 0), (0, 0.44, 0), 0.815 * w, 0.845 * w), trim, gloss=_METAL)
            for i in range(9):
                angle = math.tau * i / 9
                x, z = math.sin(angle), math.cos(angle)
                base, tip = (0.86 * w * x, 0.57, 0.86 * w * z), (0.95 * w * x, 0.77, 0.95 * w * z)
                b.add(cone(base, tip, 0.1, 0.02), "hat", gloss=_METAL)
                b.add(ball(tip, (0.042,) * 3), trim, gloss=_METAL)


def _body(b: _Build) -> None:
    c = b.character
    w, kind = c["body_width"], c["garment_kind"]
    cloth = {"bone": TORSO, "paint": CLOTH}
    b.add(ball((0, -1.4, 0), (w, 0.8, 0.46)), "garment", **cloth)
    b.balls((w * 0.84, -1.06, -0.02), (0.26, 0.3, 0.3), "garment", roll=0.3, **cloth)
    b.balls((w + 0.04, -1.45, 0.0), (0.19, 0.5, 0.24), "garment", roll=0.1, **cloth)
    neck = "garment" if kind == "turtleneck" else "skin"
    b.add(
        cone((0, -0.8, -0.03), (0, -0.36, -0.05), 0.2, 0.18),
        neck,
        TORSO,
        PLAIN if neck == "garment" else SKIN,
    )
    dark = tuple(0.55 * x for x in b.tint["garment"])
    match kind:
        case "turtleneck":
            b.add(ball((0, -0.57, -0.02), (0.27, 0.09, 0.25)), "garment", TORSO)
        case "crew neck":
            b.add(ball((0, -0.665, -0.01), (0.29, 0.055, 0.25), pitch=0.25), "pattern", TORSO)
        case "hoodie":
            b.add(ball((0, -0.62, -0.2), (0.5, 0.2, 0.28), pitch=0.2), dark, TORSO)
            b.balls((0.24, -0.7, 0.1), (0.14, 0.11, 0.24), "garment", roll=0.7, bone=TORSO)
        case "coat":
            b.balls((0.17, -0.74, 0.24), (0.085, 0.2, 0.07), dark, roll=0.5, bone=TORSO)


def _accessory(b: _Build) -> None:
    c = b.character
    w = c["head_width"]
    match c["accessory_kind"]:
        case "glasses":
            size, spacing = c["eye_size"], c["eye_spacing"]
            z = front(c, spacing, EYE_HEIGHT) + 0.1
            a, e = (spacing, EYE_HEIGHT, z), (spacing + 0.01, EYE_HEIGHT, z + 0.03)
            b.cones(a, e, 1.34 * size, 1.1 * size, "accessory", gloss=_SATIN)
            b.add(ball((0, EYE_HEIGHT + 0.03, z + 0.02), (0.06, 0.022, 0.03)), "accessory")
            arm = (w + 0.02, EYE_HEIGHT + 0.03, -0.05)
            b.cones((spacing + 1.2 * size, EYE_HEIGHT + 0.03, z), arm, 0.024, 0.024, "accessory")
        case "scarf":
            b.add(ball((0, -0.63, 0.0), (0.43, 0.13, 0.36), pitch=0.1), "accessory", TORSO)
            b.add(ball((0, -0.72, 0.06), (0.4, 0.1, 0.34), pitch=0.1), "accessory", TORSO)
            b.add(ball((0.3, -0.96, 0.36), (0.1, 0.28, 0.06), roll=0.08), "accessory", TORSO)
        case "earrings":
            b.balls((w + 0.03, -0.24, 0.06), (0.075, 0.085, 0.075), "accessory", gloss=_METAL)
        case "bow tie":
            for side in (-1, 1):
                wing = cone((side * 0.02, -0.71, 0.3), (side * 0.21, -0.71, 0.29), 0.03, 0.11)
                b.add(wing, "accessory", TORSO)
            b.add(ball((0, -0.71, 0.31), (0.05, 0.055, 0.05)), "accessory", TORSO)
            b.balls((0.21, -0.71, 0.29), (0.025, 0.11, 0.11), "accessory", bone=TORSO)
