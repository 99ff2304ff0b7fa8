"""What is asked for, laid out window by window."""

from itertools import pairwise

import pytest
import torch

from horsekit import Pipeline
from horsekit.media import Clip, Picture, Sound
from horsekit.prompt import PromptError, timed_lines
from horsekit.request import OVERLAP, Request, open_canvas, windows

PROMPT = '[Image 1] says: "good morning".'


@pytest.fixture(scope="module")
def opened(tiny_pipeline_folder):
    """Opens the canvas of a request."""
    pipeline = Pipeline.from_pretrained(tiny_pipeline_folder)
    size, longest = pipeline.settings.size, pipeline.settings.max_seconds
    return lambda *given, **more: open_canvas(Request(*given, **more), pipeline.tokenizers, size, longest)


def test_a_line_gets_its_time_unless_a_given_sound_or_picture_has_it_already(opened):
    picture = Picture(torch.full((32, 32, 3), 99, dtype=torch.uint8))
    sound, film = (
        Sound(torch.rand(9_600, 1) / 9, 16_000),
        Clip.silent(picture.pixels[None].expand(17, -1, -1, -1)),
    )
    asked = {"alone": {}, "sound": {"sound": sound}, "film": {"film": film}}
    prompts = {name: opened(PROMPT, [picture], 0.68, **given).prompt for name, given in asked.items()}
    (line,) = timed_lines(prompts["alone"])
    assert 0 < line.start < line.end <= 0.68
    assert prompts["sound"] == prompts["film"] == PROMPT


def test_a_line_for_which_no_time_is_left_is_refused(opened):
    lines = 'She says: "good morning to all of you". He says: "{}".'
    assert len(timed_lines(opened(lines.format("hello"), seconds=2.56).prompt)) == 2
    with pytest.raises(PromptError, match=r"no time is left for 'hello'.*more seconds"):
        opened('She says: "' + "good morning " * 3 + '". He says: "hello".', seconds=1.28)
    opened('A "retro" diner with a "vintage" look. She says: "good morning to you".', seconds=0.64)
    with pytest.raises(PromptError, match="no time is left for 'good morning'"):
        opened('[00:00-00:01] A room.\n[00:04-00:05] She says: "good morning".', seconds=2.56)
    before = Clip(torch.zeros(33, 32, 32, 3, dtype=torch.uint8), torch.zeros(33 * 640, 1))
    long = 'She says: "good morning to you and to everyone".'
    opened(long, seconds=1.28)
    with pytest.raises(PromptError, match=r"cannot be said in 0\.64 s"):
        opened(long, seconds=0.64, before=before)
    with pytest.raises(PromptError, match=r"'good morning to all' cannot be said in 0\.29 s"):
        opened('She says: "' + "one two " * 3 + '". He says: "good morning to all".', seconds=2.0)


def test_a_sound_that_outlasts_the_clip_is_told_and_one_as_long_is_not(opened):
    sound = lambda seconds: Sound(torch.rand(round(16_000 * seconds), 1) / 9, 16_000)  # noqa: E731
    opened("A room.", seconds=0.64, sound=sound(0.7))
    with pytest.warns(UserWarning, match=r"has 1\.00 s and is cut to 0\.68 s"):
        opened("A room.", seconds=0.64, sound=sound(1.0))


def test_a_sound_drives_what_is_new_of_a_clip_that_goes_on(opened, tiny_pipeline_folder):
    source = torch.Generator().manual_seed(0)
    before = Clip(
        torch.zeros(9, 32, 32, 3, dtype=torch.uint8), 0.1 * torch.randn(9 * 640, 1, generator=source)
    )
    sound = Sound(0.1 * torch.randn(16 * 640, 1, generator=source), 16_000)
    canvas = opened("A room.", seconds=0.64, before=before, sound=sound)
    waveform = canvas.clip(Pipeline.from_pretrained(tiny_pipeline_folder).tokenizers).waveform
    assert canvas.heard.all() and len(waveform) == 25 * 640
    torch.testing.assert_close(waveform[: 8 * 640], before.waveform[: 8 * 640])
    torch.testing.assert_close(waveform[9 * 640 :], sound.waveform)


@pytest.mark.parametrize(("latents", "most"), [(3, 9), (9, 9), (10, 9), (40, 9), (7, 2), (200, 17)])
def test_windows_cover_a_clip_and_overlap(latents, most):
    spans = windows(latents, most)
    assert spans[0][0] == 0 and spans[-1][1] == latents
    assert all(0 < last - first <= most for first, last in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert end - start == min(OVERLAP, most - 1)
