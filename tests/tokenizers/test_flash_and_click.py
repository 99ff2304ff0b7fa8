"""What happens at one instant in picture and sound still does so after both tokenizers."""

import pytest
import torch

from horsekit import clock
from horsekit.tokenizers import load_tokenizers

SHIPPED = load_tokenizers("horsekit/weights/horse-tiny")
RATE = SHIPPED.audio.spec.sample_rate


@pytest.mark.parametrize("latents", [2, 9, 376], ids=["0.2 s", "1.3 s", "60 s"])
@pytest.mark.parametrize("place", ["at 0.04 s", "in the last frame"])
def test_a_flash_and_a_click_stay_together(latents, place):
    frames = clock.latent_frames(latents)
    instant = 1 if place == "at 0.04 s" else frames - 1
    clip = torch.full((1, frames, 16, 16, 3), 20, dtype=torch.uint8)
    clip[:, instant] = 230
    sound = 1e-3 * torch.randn(
        1, clock.sample_count(frames, RATE), generator=torch.Generator().manual_seed(0)
    )
    middle = int((instant + 0.5) / clock.FRAMES_PER_SECOND * RATE)
    sound[:, middle : middle + 32] += 0.8

    with torch.inference_mode():
        seen = SHIPPED.video.decode(SHIPPED.video.encode(clip)).float().mean((0, 2, 3, 4))
        heard = SHIPPED.audio.decode(SHIPPED.audio.encode(sound))[0]
    flash = int(seen.argmax())
    click = int(heard.square().unfold(0, 160, 40).mean(1).argmax()) * 40 + 80
    assert abs(flash - instant) <= 1, "frames"
    assert abs(click - middle) <= RATE // clock.AUDIO_TOKENS_PER_SECOND, "samples of one hop"
    between = clock.frame_times(frames)[flash] + 0.5 / clock.FRAMES_PER_SECOND - click / RATE
    assert abs(between) <= 1 / clock.FRAMES_PER_SECOND + 1 / clock.AUDIO_TOKENS_PER_SECOND
