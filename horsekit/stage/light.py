"""The light: a key from one of eight sides, a fill, and how glossy the skin is."""

import math
from dataclasses import dataclass

from horsekit.stage.seeding import choice, generator

DIRECTIONS = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")
# linear RGB, of equal luminance
COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "warm": (1.42, 0.93, 0.48),
    "cool": (0.66, 1.02, 1.79),
    "rose": (1.55, 0.80, 1.10),
    "mint": (0.62, 1.13, 0.84),
}
# photographic stops between the lit side and the shadow side
STOPS = {"low": 0.8, "medium": 1.6, "high": 2.6}
# strength and exponent of the highlight on skin
GLOSS = {"matte": (0.0, 12.0), "normal": (0.16, 22.0), "oily": (0.75, 55.0)}
_ELEVATION = math.radians(32)


@dataclass(frozen=True)
class Light:
    """direction 0..7 (DIRECTIONS, as the default camera sees it), colour, key_to_fill, gloss."""

    direction: int = 1
    colour: str = "white"
    key_to_fill: str = "medium"
    gloss: str = "normal"

    def __post_init__(self) -> None:
        if self.direction not in range(len(DIRECTIONS)):
            raise ValueError(f"light direction is {self.direction}; give 0 to {len(DIRECTIONS) - 1}")
        for name, table in (("colour", COLOURS), ("key_to_fill", STOPS), ("gloss", GLOSS)):
            if getattr(self, name) not in table:
                raise ValueError(f"no light {name} {getattr(self, name)!r}; choose one of {', '.join(table)}")

    @classmethod
    def draw(cls, seed: int) -> "Light":
        """The light of a seed."""
        source = generator(seed, "light")
        return cls(
            choice(source, range(len(DIRECTIONS))),
            choice(source, tuple(COLOURS)),
            choice(source, tuple(STOPS)),
            choice(source, tuple(GLOSS)),
        )

    @property
    def toward(self) -> tuple[float, float, float]:
        """Unit vector from the subject to the key light, world axes."""
        azimuth = self.direction * math.pi / 4
        flat = math.cos(_ELEVATION)
        return (-flat * math.sin(azimuth), math.sin(_ELEVATION), flat * math.cos(azimuth))

    @property
    def key(self) -> tuple[float, float, float]:
        """Linear RGB of the key; key and fill together make 1 where the key falls straight on."""
        strength = 1.0 - self.fill
        return tuple(strength * c for c in COLOURS[self.colour])

    @property
    def fill(self) -> float:
        """Linear strength of the white fill."""
        return 2.0 ** -STOPS[self.key_to_fill]
