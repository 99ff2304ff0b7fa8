"""The camera is read from pixels: which move, how far, how fast."""

import math

import pytest
import torch

from horsekit.media import Clip
from horsekit.metrics.alignment import align, followed_by, moved, places
from horsekit.metrics.camera import camera_of, camera_score, steps_of
from horsekit.stage import Background, CameraMove, Character, Light, Scene, camera_path, render

FRAMES = 33


def shot(move: CameraMove, seed: int = 3) -> Clip:
    """A silent shot of a character."""
    scene = Scene.compose((Character.draw(seed),), FRAMES, move, Light(), Background(seed), seed=seed)
    return Clip.silent(render([scene], [torch.zeros(1, FRAMES, 5)])[0].frames)


def test_a_known_similarity_is_found():
    torch.manual_seed(0)
    centre, motion = torch.tensor([0.05, -0.1]), torch.tensor([[0.04, -0.03, 0.05, 0.06]])
    phase, wave = torch.rand(8) * 6, torch.randn(8, 2) * 12
    picture = lambda at: ((at @ wave.T + phase).sin().sum(-1) / 8)[:, None]  # noqa: E731
    grid = places(64)[None]
    back = torch.tensor([[0.0, 0.0, -0.05, -0.06]])
    back[:, :2] = moved(back, -motion[:, None, :2], torch.zeros(2))[:, 0]
    torch.testing.assert_close(followed_by(motion, back), torch.zeros(1, 4), atol=1e-6, rtol=0)
    found = align(picture(grid), picture(moved(back, grid, centre)), torch.ones(64, 64), centre)
    torch.testing.assert_close(found, motion, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "kind", ["pan_left", "dolly_in", "truck_right", "orbit_left", "crane_up", "zoom_out"]
)
def test_a_move_is_read_with_its_way_and_its_pace(kind):
    asked = CameraMove.centred(kind, "normal", 0.7)
    motion = camera_of(shot(asked))
    score = camera_score(motion, asked)
    assert (score.made, score.right, score.same_speed) == (kind, True, True)
    assert score.gain == pytest.approx(1, abs=0.25) and abs(score.lag) <= 0.16
    assert score.rotation < 5 and (score.translation is None or score.translation < 0.3)


@pytest.mark.parametrize("kind", ["static", "handheld"])
def test_a_camera_that_goes_nowhere_is_read(kind):
    score = camera_score(camera_of(shot(CameraMove(kind, magnitude=1.0, seed=5))), CameraMove(kind))
    assert score.right and score.gain is None


def test_a_clip_played_backwards_moves_the_other_way():
    asked = CameraMove.centred("pan_left", "slow", 0.9)
    clip = shot(asked)
    score = camera_score(camera_of(Clip.silent(clip.frames.flip(0))), asked)
    assert score.made == "pan_right" and score.gain < -0.5


def test_half_a_move_has_half_the_gain():
    score = camera_score(
        camera_of(shot(CameraMove.centred("tilt_up", "slow", 0.45))),
        CameraMove.centred("tilt_up", "slow", 0.9),
    )
    assert score.right and score.gain == pytest.approx(0.5, abs=0.1)


def test_what_cannot_be_read_is_unusable_with_the_reason():
    for frames, reason in ((torch.zeros(1, 64, 64, 3), "1 frames"), (torch.zeros(33, 64, 64, 3), "blank")):
        score = camera_score(camera_of(Clip.silent(frames.byte())), CameraMove("pan_left"))
        assert reason in score.reason and not score.right and score.gain is None
    noise = torch.randint(0, 256, (33, 64, 64, 3), generator=torch.Generator().manual_seed(0)).byte()
    score = camera_score(camera_of(Clip.silent(noise)), CameraMove("pan_left"))
    assert math.isfinite(score.gain)


def test_a_turning_camera_carries_backdrop_and_body_alike_and_a_travelling_one_does_not():
    turned, travelled = (
        steps_of(camera_path(CameraMove.centred(k, "slow", 0.5), FRAMES)).sum(0)
        for k in ("pan_left", "truck_left")
    )
    assert turned[0].item() == pytest.approx(turned[4].item(), rel=0.1)
    assert travelled[4] > 1.5 * travelled[0]
