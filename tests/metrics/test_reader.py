"""The shipped reader on the stage's own clips of characters and lines that it never saw."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from horsekit.media import Clip, Picture
from horsekit.metrics import Asked, Crowd, cast, measure, sync_of, trained
from horsekit.stage import CameraMove, Character, Light, Script, portrait, stage_batch
from horsekit.stage.script import IDENTITIES

COUNT = 6


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    scripts = [
        Script.draw(seed, "held_out", 1.8, cast=[cast()[seed]], speaking=True, language="en")
        for seed in range(COUNT)
    ]
    return [clip for clip, _ in stage_batch(scripts)]


def delayed(clip: Clip, seconds: float) -> Clip:
    """The same picture with its sound so much later (earlier where negative)."""
    shift = round(seconds * clip.sample_rate)
    sound = functional.pad(clip.waveform[max(0, -shift) :], (0, 0, max(0, shift), max(0, -shift)))
    return replace(clip, waveform=sound[: len(clip.waveform)])


def test_characters_are_found_and_strangers_are_not(clips):
    crowd = Crowd.of(cast())
    right = measure(clips, crowd, range(COUNT)).summary()
    wrong = measure(clips, crowd, [k + 50 for k in range(COUNT)]).summary()
    assert right["top1"] > 80 and right["faces"] == 100
    assert right["error"] < 0.85 < 1.05 < wrong["error"]
    assert wrong["top1"] == 0 and wrong["margin"] < 0 < right["margin"]


def test_a_character_known_by_pictures_is_told_from_the_cast(clips):
    fennel = Character.draw(IDENTITIES["held_out"][500])
    crowd = Crowd.around([Picture(portrait(fennel, seed)) for seed in range(3)])
    assert len(crowd.points) == 100
    script = Script.draw(0, "held_out", cast=[fennel], speaking=True, language="en")
    own = stage_batch([script])[0][0]
    assert measure([own], crowd).summary()["top1"] == 100
    assert measure(clips, crowd).summary()["top1"] < 40


def test_true_clips_are_in_time(clips):
    timed = [sync_of(clip) for clip in clips]
    offsets = torch.tensor([s.offset for s in timed if s.usable])
    assert len(offsets) >= COUNT - 1
    assert offsets.median().abs() < 15


@pytest.mark.parametrize("early", [0.08, -0.08])
def test_an_injected_shift_is_recovered(clips, early):
    moved = [(sync_of(clip), sync_of(delayed(clip, -early))) for clip in clips]
    found = [b.offset - a.offset for a, b in moved if a.usable and b.usable]
    assert len(found) >= COUNT - 2
    assert torch.tensor(found).median() == pytest.approx(1000 * early, abs=2)


def test_pictures_without_a_face_are_told_from_those_with_one(clips):
    noise = torch.randint(0, 256, (8, 64, 64, 3), generator=torch.Generator().manual_seed(0))
    blank = torch.full((8, 64, 64, 3), 90)
    ramp = torch.arange(64).mul(4)[None, :, None, None].expand(8, 64, 64, 3)
    for frames in (noise, blank, 0 * blank, ramp):
        assert trained().reader.read(frames.to(torch.uint8)).face.max() < 0.5
    for clip in clips:
        assert trained().reader.read(clip.frames).face.median() > 0.9


@pytest.mark.parametrize("kind", ["black", "frozen", "one frame", "silent", "steady", "noise"])
def test_broken_clips_are_unusable_and_never_nan(clips, kind):
    good = clips[0]
    noise = torch.Generator().manual_seed(1)
    frames, sound = good.frames, good.waveform
    broken = {
        "black": Clip(torch.zeros_like(frames), sound),
        "frozen": Clip(frames[:1].expand_as(frames).clone(), sound),
        "one frame": Clip(frames[:1], sound[:640]),
        "silent": Clip(frames, torch.zeros_like(sound)),
        "steady": Clip(frames, 0.1 * torch.randn(sound.shape, generator=noise)),
        "noise": Clip(torch.randint(0, 256, frames.shape, generator=noise).to(torch.uint8), sound),
    }[kind]
    asked = Asked(cast()[0], CameraMove("pan_left"), Light(2))
    arm = measure([broken], Crowd.of(cast()[:3]), asked=[asked])
    assert arm.summary()["camera"] in (0, 100) and arm.summary()["light"] in (0, 100)
    assert arm.clips[0].sync.reason and arm.clips[0].sync.offset is None
    values = [v for v in arm.summary().values() if v is not None]
    assert values and all(v == v for v in values)
