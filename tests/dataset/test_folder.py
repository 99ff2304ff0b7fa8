"""Clips as people have them become latents on the clock."""

import json
import shutil
from fractions import Fraction

import pytest
import torch

from horsekit.dataset.folder import LatentCache, encode_folder
from horsekit.media import Clip
from horsekit.tokenizers import load_tokenizers

SHIPPED = load_tokenizers("horsekit/weights/horse-tiny")
RATES = [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, 60]


def put(folder, name: str, clip: Clip) -> None:
    clip.save(folder / name)
    with (folder / "metadata.jsonl").open("a") as lines:
        lines.write(json.dumps({"file_name": name, "prompt": "It waves."}) + "\n")


def encoded(folder):
    return encode_folder(folder, [], LatentCache(folder / "cache", SHIPPED, (64, 64)))


@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.2f} fps")
@pytest.mark.parametrize(("sample_rate", "channels"), [(8000, 1), (44100, 2), (96000, 2)])
def test_any_frame_and_sample_rate_is_put_on_the_clock(tmp_path, fps, sample_rate, channels):
    """A flash half a second in, and a click with it, are found at that time in the latents' own clip."""
    count = int(1.3 * fps)
    frames = torch.full((count, 66, 97, 3), 20, dtype=torch.uint8)
    shown = torch.arange(count) / float(fps)
    frames[(shown >= 0.5) & (shown < 0.62)] = 230
    waveform = torch.zeros(round(count / fps * sample_rate), channels)
    waveform[int(0.5 * sample_rate) : int(0.52 * sample_rate)] = 0.5
    put(tmp_path, "clip.mp4", Clip(frames, waveform, fps, sample_rate))
    (sample,) = encoded(tmp_path)
    assert sample.video.shape == (8, 4, 4, 96), "29 of 31 or 32 frames"
    assert len(sample.audio) == 4 * len(sample.video) - 3
    seen = SHIPPED.video.decode(sample.video[None])[0].float().mean((1, 2, 3))
    first = int((seen > 120).float().argmax())
    heard = SHIPPED.audio.decode(sample.audio[None])[0].abs()
    loud = int((heard > 0.3 * heard.max()).float().argmax()) / 16_000
    assert abs(first / 25 - 0.5) <= 1.5 / 25
    assert abs(loud - 0.5) < 0.04, "one audio token"


def test_a_clip_shorter_than_a_second_latent_is_its_first_frame(tmp_path):
    put(
        tmp_path,
        "short.mp4",
        Clip(torch.zeros(3, 64, 64, 3, dtype=torch.uint8), torch.zeros(1920, 1), 25, 16_000),
    )
    (sample,) = encoded(tmp_path)
    assert len(sample.video) == 1 and len(sample.audio) == 1


def test_latents_are_read_back_and_follow_the_content(tmp_path):
    clip = Clip(torch.randint(0, 256, (9, 64, 64, 3), dtype=torch.uint8), torch.zeros(5760, 1), 25, 16_000)
    put(tmp_path, "clip.mp4", clip)
    (before,) = encoded(tmp_path)
    kept = list((tmp_path / "cache").iterdir())
    (again,) = encoded(tmp_path)
    assert torch.equal(before.video, again.video) and list((tmp_path / "cache").iterdir()) == kept
    shutil.copy(tmp_path / "clip.mp4", tmp_path / "other.mp4")
    Clip(clip.frames.flip(0), clip.waveform, 25, 16_000).save(tmp_path / "clip.mp4")
    (changed,) = encoded(tmp_path)
    assert not torch.equal(before.video, changed.video)
