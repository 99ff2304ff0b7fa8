"""Clips as people have them become latents on the clock."""

import json
import shutil
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from horsekit.dataset.batches import Batches
from horsekit.dataset.folder import (
    MAX_SECONDS,
    LatentCache,
    encode_folder,
    fitting_size,
    piece_spans,
    still_frames,
    still_prompts,
)
from horsekit.dataset.latents import LatentDataset
from horsekit.media import Clip, Picture, Sound
from horsekit.prompt import timed_lines
from horsekit.tokenizers import load_tokenizers

SHIPPED = load_tokenizers("horsekit/weights/horse-tiny")
RATES = [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, 60]


def put(folder, name: str, clip: Clip) -> None:
    clip.save(folder / name)
    with (folder / "metadata.jsonl").open("a") as lines:
        lines.write(json.dumps({"file_name": name, "prompt": "It waves."}) + "\n")


def encoded(folder):
    return encode_folder(folder, [], LatentCache(folder / "cache", SHIPPED, 64))


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
    assert sample.video.shape == (8, 3, 5, 96), "29 of 31 or 32 frames, nearly as wide as they were"
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
        Clip(torch.zeros(3, 64, 64, 3, dtype=torch.uint8), 0.1 * torch.randn(1920, 1), 25, 16_000),
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


def test_latents_are_made_anew_for_another_size_use_or_setting(tmp_path, monkeypatch):
    path = Picture(torch.zeros(64, 64, 3, dtype=torch.uint8)).save(tmp_path / "a.png")

    def kept(side: int = 64) -> int:
        LatentCache(tmp_path / "cache", SHIPPED, side).picture(path)
        return len(list((tmp_path / "cache").iterdir()))

    assert [kept(), kept(), kept(32), kept(64)] == [1, 1, 2, 2]
    LatentCache(tmp_path / "cache", SHIPPED, 64).reference(path)
    assert kept() == 3
    for number, name in enumerate(("MAX_SECONDS", "LEAST_SECONDS", "QUIET", "MAX_VOICE"), 4):
        monkeypatch.setattr(f"horsekit.dataset.folder.{name}", 1.5)
        assert kept() == number


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1080, 1920), (48, 80)),
        ((1920, 1080), (80, 48)),
        ((512, 512), (64, 64)),
        ((480, 500), (64, 64)),
        ((768, 1024), (48, 64)),
        ((100, 900), (16, 144)),
    ],
)
def test_pictures_keep_nearly_their_shape_and_many_pixels(shape, size):
    assert fitting_size(*shape, 64, 16) == size
    height, width = fitting_size(*shape, 256, 16)
    assert 0.8 * 256**2 <= height * width <= 256**2
    assert abs(height / width / (shape[0] / shape[1]) - 1) < 0.1


def test_a_long_clip_is_cut_into_pieces_each_with_its_own_words(tmp_path):
    frames = torch.randint(0, 256, (150, 64, 64, 3), dtype=torch.uint8)
    Clip(frames, 0.1 * torch.randn(150 * 640, 1), 25, 16_000).save(tmp_path / "long.mp4")
    prompt = 'She says: "one" (0.2-1.0 s). She adds: "two" (3.0-4.0 s). A room.'
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "long.mp4", "prompt": prompt}))
    first, second, third = encoded(tmp_path)
    assert [len(s.video) for s in (first, second, third)] == [17, 17, 5]
    assert all(len(s.audio) == 4 * len(s.video) - 3 for s in (first, second, third))
    said = [
        [s.prompts[0][line.first : line.last] for line in timed_lines(s.prompts[0])]
        for s in (first, second, third)
    ]
    assert said == [["one"], ["two"], []]
    assert all(s.prompts[0].endswith("A room.") for s in (first, second, third))


@pytest.mark.parametrize("frames", [1, 3, 5, 64, 65, 66, 75, 76, 130, 500])
def test_pieces_are_whole_latents_in_order(frames):
    spans = piece_spans(frames)
    assert spans[0][0] == 0 and frames - spans[-1][1] < max(4, 25 * 0.5)
    assert all((last - first) % 4 == 1 and last - first <= 25 * MAX_SECONDS + 1 for first, last in spans)
    assert all(b[0] >= a[1] for a, b in pairwise(spans))


def test_a_mixed_set_trains_in_one_batch_and_names_what_has_no_sound(tmp_path, words, capsys):
    """A wide clip, a tall one without sound, and a picture, packed without padding."""
    source = torch.Generator().manual_seed(0)
    noise = lambda *shape: torch.randint(0, 256, (*shape, 3), generator=source, dtype=torch.uint8)  # noqa: E731
    put(tmp_path, "wide.mp4", Clip(noise(33, 90, 160), 0.1 * torch.randn(33 * 640, 1), 25, 16_000))
    put(tmp_path, "tall.mp4", Clip.silent(noise(17, 160, 90), 25))
    put(tmp_path, "empty.mp4", Clip(noise(17, 90, 90), torch.zeros(17 * 640, 1), 25, 16_000))
    Picture(noise(70, 70)).save(tmp_path / "still.png")
    with (tmp_path / "metadata.jsonl").open("a") as lines:
        lines.write(json.dumps({"file_name": "still.png", "prompt": "It stands."}) + "\n")
    samples = encode_folder(tmp_path, [tmp_path / "still.png"], LatentCache(tmp_path / "cache", SHIPPED, 64))
    assert "training the picture alone: tall.mp4, empty.mp4" in capsys.readouterr().out
    assert [s.video.shape[:3] for s in samples] == [(9, 3, 5), (5, 5, 3), (5, 4, 4), (1, 4, 4)]
    batch = Batches(LatentDataset.of(samples), words, 4, mixed=True).at(0)
    counts = sorted(count[:2] for count in batch.main.counts)
    assert counts == [(16, 0), (75, 0), (80, 0), (135, 33)]
    assert len(batch.main.video) == 16 + 75 + 80 + 135


def test_a_voice_goes_with_every_clip_that_is_heard(tmp_path):
    put(
        tmp_path,
        "a.mp4",
        Clip(torch.zeros(9, 64, 64, 3, dtype=torch.uint8), 0.1 * torch.randn(5760, 1), 25, 16_000),
    )
    put(tmp_path, "b.mp4", Clip.silent(torch.zeros(9, 64, 64, 3, dtype=torch.uint8)))
    voice = Sound(0.1 * torch.randn(90_000, 1), 16_000).save(tmp_path / "voice.wav")
    heard, silent = encode_folder(tmp_path, [], LatentCache(tmp_path / "cache", SHIPPED, 64), voice)
    assert heard.voices[1].shape == (100, 64) and not silent.voices


def test_a_clip_is_known_by_the_pictures_of_its_look(tmp_path):
    frames = torch.zeros(9, 64, 64, 3, dtype=torch.uint8)
    for name in ("a.mp4", "b.mp4"):
        put(tmp_path, name, Clip.silent(frames))
    rain = json.dumps({"file_name": "a.mp4", "prompt": "In the rain.", "look": "rain"})
    with (tmp_path / "metadata.jsonl").open("a") as lines:
        lines.write(rain + "\n")
    plain, coat = (
        Picture(torch.full((64, 64, 3), k, dtype=torch.uint8)).save(tmp_path / f"{k}.png") for k in (60, 200)
    )
    cache = LatentCache(tmp_path / "cache", SHIPPED, 64)
    samples = encode_folder(tmp_path, [plain], cache, looks={"day": [plain], "rain": [coat, plain]})
    shown = [SHIPPED.video.decode(s.references[1][:1, None][0][None]).float().mean().item() for s in samples]
    assert [len(s.references[1]) for s in samples] == [1, 1, 2]
    assert shown == pytest.approx([60, 60, 200], abs=6)


@given(frames=st.integers(1, 300), count=st.integers(1, 40))
def test_stills_are_taken_evenly_and_no_frame_twice(frames, count):
    taken = still_frames(frames, count)
    assert len(taken) == min(frames, count) and taken[0] >= 0 and taken[-1] < frames
    steps = {b - a for a, b in pairwise(taken)}
    assert all(step >= 1 for step in steps) and (not steps or max(steps) - min(steps) <= 1)


def test_frames_of_a_clip_are_pictures_to_learn_from_as_well(tmp_path):
    """The half of the clip in which it is bright gives bright pictures, and they say nothing of what is heard."""
    frames = torch.full((50, 64, 64, 3), 20, dtype=torch.uint8)
    frames[25:] = 230
    clip = Clip(frames, 0.1 * torch.randn(32_000, 1), 25, 16_000)
    put(tmp_path, "clip.mp4", clip)
    cache = LatentCache(tmp_path / "cache", SHIPPED, 64)
    whole, *stills = encode_folder(tmp_path, [], cache, stills=4)
    assert len(whole.video) == 13 and whole.audio is not None
    assert [(len(still.video), still.audio) for still in stills] == [(1, None)] * 4
    seen = [SHIPPED.video.decode(still.video[None]).float().mean().item() for still in stills]
    assert seen == pytest.approx([20, 20, 230, 230], abs=12)


def test_a_still_is_told_what_its_frame_shows():
    wordings = (
        '[Image 1] stands before us. [Image 1] says: "all aboard". The camera tilts up. Warm light from the left.',
        "[00:00-00:01] [Image 1], a red cat. Blue light from behind. [00:01-00:02] [Image 1] in the rain.",
        '[Image 1] says: "here we are". A pale wall.',
    )
    assert still_prompts(wordings, 0.5) == (
        "[Image 1] stands before us. Warm light from the left.",
        "[Image 1], a red cat. Blue light from behind.",
    )
    assert still_prompts(wordings[2:], 0.5) == wordings[2:], "better all of it than nobody"
