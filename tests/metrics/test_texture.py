"""Stairs, softness, patches and flicker are told apart."""

import pytest
import torch
from torch.nn import functional

from horsekit.media import Clip
from horsekit.metrics.camera import camera_of
from horsekit.metrics.texture import flicker, grid_energy, texture_of
from horsekit.stage import Background, CameraMove, Character, Light, Scene, render

WHO = Character.draw(11)


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """A still camera on a character who looks about."""
    scene = Scene.compose((WHO,), 17, CameraMove("static"), Light(1), Background(9), seed=4)
    return render([scene], [torch.zeros(1, 17, 5)])[0].frames


def measured(frames: torch.Tensor):
    clip = Clip.silent(frames)
    return texture_of(clip, WHO, camera_of(clip))


def blurred(frames: torch.Tensor, size: int) -> torch.Tensor:
    padded = functional.pad(frames.permute(0, 3, 1, 2).float(), (size // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, size, 1).permute(0, 2, 3, 1).round().byte()


def test_stairs_show_in_the_outline_and_blur_in_its_width(frames):
    clean, soft = measured(frames), measured(blurred(frames, 3))
    stairs = measured(frames[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert clean.edge < 0.2 and stairs.edge > 1.5 * clean.edge
    assert soft.width > clean.width + 0.7 and soft.edge < 1.2 * clean.edge


def test_an_even_offset_of_every_patch_shows_in_the_grid_alone(frames):
    sign = torch.ones(64, 64)
    for k in range(0, 64, 32):
        sign[k : k + 16] *= -1
        sign[:, k : k + 16] *= -1
    offset = (frames.float() + 8 * sign[:, :, None]).clamp(0, 255).byte()
    assert grid_energy(offset, 16) > 1.4 * grid_energy(frames, 16)
    assert flicker(offset) == pytest.approx(flicker(frames), rel=0.1)


def test_flicker_counts_what_comes_and_goes_but_no_steady_change():
    ramp = torch.arange(20)[:, None, None, None].expand(-1, 8, 8, 3).byte()
    assert flicker(ramp) == 0
    blinking = 100 + 4 * (torch.arange(20) % 2)[:, None, None, None].expand(-1, 8, 8, 3).byte()
    assert flicker(blinking) == pytest.approx(8)


def test_what_cannot_be_told_has_a_reason(frames):
    assert "frames" in measured(frames[:1]).reason
    flat = torch.full_like(frames, 90)
    flat[:, :32] = 120
    assert "outline" in measured(flat).reason
