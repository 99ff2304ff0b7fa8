"""A scene: who stands where and how they move, under which camera and light, before what.

F frames.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from horsekit.stage.background import Background
from horsekit.stage.camera import CameraMove
from horsekit.stage.cast import Character
from horsekit.stage.light import Light
from horsekit.stage.seeding import generator, uniform

PAIR_DISTANCE = 5.7


@dataclass(frozen=True)
class Placement:
    """Where a character stands: x, y, z of the middle of its head at rest, and where it faces.

    Units of the stage (a head is about one wide); facing in radians, positive to the right as seen.
    """

    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    facing: float = 0.0


ALONE = (Placement(),)
# left and right as the camera sees them, turned a little towards each other
PAIR = (Placement((-0.88, 0.0, 0.0), 0.26), Placement((0.88, 0.0, 0.0), -0.26))


@dataclass(frozen=True, eq=False)
class Scene:
    """What the renderer needs besides the mouths.

    frames: count; characters: one or two; placements: one each; camera, light, background;
    head_pose: [C, F, 3] yaw, pitch, roll in radians relative to where the character faces
    (positive yaw to the right as seen, positive pitch down, positive roll: its right side, as seen, up);
    blink: [C, F], 0 open to 1 shut.
    """

    frames: int
    characters: tuple[Character, ...]
    placements: tuple[Placement, ...]
    camera: CameraMove = field(default_factory=CameraMove)
    light: Light = field(default_factory=Light)
    background: Background = field(default_factory=Background)
    head_pose: Tensor | None = None
    blink: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.characters)
        if self.frames < 1:
            raise ValueError(f"a scene of {self.frames} frames; give at least 1")
        if count not in (1, 2) or len(self.placements) != count:
            raise ValueError(
                f"{count} characters and {len(self.placements)} placements; give one or two of both"
            )
        for name, width in (("head_pose", (3,)), ("blink", ())):
            track, shape = getattr(self, name), (count, self.frames, *width)
            if track is None:
                object.__setattr__(self, name, torch.zeros(shape))
            elif tuple(track.shape) != shape:
                raise ValueError(f"{name} has shape {list(track.shape)}; give {list(shape)}")

    @classmethod
    def compose(
        cls,
        characters: tuple[Character, ...],
        frames: int,
        camera: CameraMove | None = None,
        light: Light | None = None,
        background: Background | None = None,
        speaking: Tensor | None = None,
        seed: int = 0,
    ) -> "Scene":
        """A scene of one character, or of two side by side, that moves its heads and blinks by itself.

        speaking: [C, F] in 0..1, how much each one talks (head moves more); None is silence.
        """
        count = len(characters)
        speaking = torch.zeros(count, frames) if speaking is None else speaking
        return cls(
            frames,
            tuple(characters),
            ALONE if count == 1 else PAIR,
            camera or CameraMove(start_distance=default_distance(count)),
            light or Light(),
            background or Background(seed),
            torch.stack([head_motion(seed + 7919 * c, frames, speaking[c]) for c in range(count)]),
            torch.stack([blink_track(seed + 7919 * c, frames) for c in range(count)]),
        )


def default_distance(characters: int) -> float:
    """How far the camera stands from one or two characters."""
    return CameraMove.start_distance if characters == 1 else PAIR_DISTANCE


def head_motion(seed: int, frames: int, speaking: Tensor | None = None) -> Tensor:
    """[F, 3] yaw, pitch, roll in radians: a slow wander, and nods while `speaking` ([F] in 0..1)."""
    source = generator(seed, "head")
    seconds = torch.arange(frames, dtype=torch.float64)[:, None] / 25
    size = torch.tensor([0.13, 0.05, 0.05], dtype=torch.float64)
    rest = torch.tensor(
        [uniform(source, -0.12, 0.12), uniform(source, -0.04, 0.05), 0.0], dtype=torch.float64
    )

    def wander(low: float, high: float) -> Tensor:
        hertz = torch.tensor([uniform(source, low, high) for _ in range(3)], dtype=torch.float64)
        phase = torch.rand(3, generator=source, dtype=torch.float64) * 2 * math.pi
        return (2 * math.pi * hertz * seconds + phase).sin()

    pose = rest + size * wander(0.2, 0.5)
    nods = torch.tensor([0.03, 0.06, 0.03], dtype=torch.float64) * wander(1.0, 2.2)
    if speaking is not None:
        pose = pose + nods * _softened(speaking.to(torch.float64))[:, None]
    return pose.float()


def _softened(track: Tensor, reach: int = 6) -> Tensor:
    """A track [F] averaged over ±reach frames, so that motion starts and ends gently."""
    padded = torch.nn.functional.pad(track[None, None], (reach, reach), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, 2 * reach + 1, 1)[0, 0]


def blink_track(seed: int, frames: int) -> Tensor:
    """[F] 0 open to 1 shut: a blink of about a quarter of a second every two to four seconds."""
    source = generator(seed, "blink")
    time = torch.arange(frames, dtype=torch.float64)
    shut = torch.zeros(frames, dtype=torch.float64)
    at = uniform(source, 6, 90)
    while at < frames + 4:
        shut = torch.maximum(shut, (1.35 - (time - at).abs() / 2.6).clamp(0, 1))
        at += uniform(source, 50, 100)
    return shut.float()
