"""The light is read from pixels and the character's shape."""

import pytest
import torch

from horsekit.media import Clip
from horsekit.metrics import Asked, Crowd, gloss_order, measure
from horsekit.metrics.camera import camera_of
from horsekit.metrics.light import LightScore, light_of, light_score
from horsekit.stage import Background, CameraMove, Character, Light, Scene, render

FRAMES = 17
WHO = Character.draw(11)
STILL = CameraMove("static")


def shot(light: Light, move: CameraMove) -> Clip:
    """A character in another room, who looks about and talks."""
    scene = Scene.compose((WHO,), FRAMES, move, light, Background(9), seed=4)
    mouths = torch.rand(1, FRAMES, 5, generator=torch.Generator().manual_seed(0))
    return Clip.silent(render([scene], [mouths])[0].frames)


def read(clip: Clip, asked: Light) -> LightScore:
    """What is read, against what was asked for."""
    return light_score(light_of(clip, WHO, camera_of(clip)), asked)


@pytest.mark.parametrize("direction", range(8))
def test_the_side_of_the_light_is_read(direction):
    light = Light(direction, "white", "medium", "normal")
    score = read(shot(light, STILL), light)
    assert score.right and score.angle < 16


@pytest.mark.parametrize(("colour", "stops"), [("warm", "low"), ("cool", "high"), ("mint", "medium")])
def test_its_colour_and_its_contrast_are_read(colour, stops):
    light = Light(1, colour, stops, "oily")
    score = read(shot(light, CameraMove.centred("pan_left", "slow", 0.6)), light)
    assert score.right and score.colour < 0.02 and abs(score.stops) < 0.25


def test_the_wrong_light_is_told_from_the_right_one():
    other = read(shot(Light(2, "warm", "high"), STILL), Light(6, "cool", "low"))
    assert not other.right and other.made == 2
    assert other.angle > 150 and other.stops > 1 and other.colour > 0.08


def test_skin_shines_in_the_order_of_its_gloss():
    clips = [shot(Light(1, "white", "medium", gloss), STILL) for gloss in ("matte", "normal", "oily")]
    assert gloss_order(clips, WHO, 1) == pytest.approx(1)
    assert gloss_order(clips[::-1], WHO, 1) == pytest.approx(-1)
    black = Clip.silent(torch.zeros_like(clips[0].frames))
    assert gloss_order([*clips[:2], black], WHO, 1) == 0


def test_a_light_copied_from_the_reference_shows():
    right, shown = Light(1), Light(5)
    crowd = Crowd.of([WHO, Character.draw(12)])
    for light, copied in ((right, -2), (shown, 2)):
        arm = measure([shot(light, STILL)], crowd, asked=[Asked(WHO, STILL, right, shown)])
        assert arm.summary()["copied"] == pytest.approx(copied, abs=0.15)


@pytest.mark.parametrize("picture", ["noise", "black", "one frame"])
def test_what_cannot_be_read_is_unusable_with_the_reason(picture):
    frames = torch.randint(0, 256, (FRAMES, 64, 64, 3), generator=torch.Generator().manual_seed(0)).byte()
    frames = {"noise": frames, "black": frames * 0, "one frame": frames[:1]}[picture]
    score = read(Clip.silent(frames), Light(0))
    assert score.reason and not score.right and score.angle is None
