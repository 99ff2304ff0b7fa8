"""What is asked for, laid out window by window."""

from itertools import pairwise

import pytest
import torch

from horsekit import Pipeline
from horsekit.media import Clip, Picture, Sound
from horsekit.prompt import timed_lines
from horsekit.request import OVERLAP, Request, open_canvas, windows

PROMPT = '[Image 1] says: "good morning".'


def test_a_line_gets_its_time_unless_a_given_sound_or_picture_has_it_already(tiny_pipeline_folder):
    pipeline = Pipeline.from_pretrained(tiny_pipeline_folder)
    picture = Picture(torch.full((32, 32, 3), 99, dtype=torch.uint8))
    sound, film = (
        Sound(torch.rand(9_600, 1) / 9, 16_000),
        Clip.silent(picture.pixels[None].expand(17, -1, -1, -1)),
    )
    asked = {"alone": {}, "sound": {"sound": sound}, "film": {"film": film}}
    settings = pipeline.settings
    prompts = {
        name: open_canvas(
            Request(PROMPT, [picture], 0.68, **given),
            pipeline.tokenizers,
            settings.size,
            settings.max_seconds,
        ).prompt
        for name, given in asked.items()
    }
    (line,) = timed_lines(prompts["alone"])
    assert 0 < line.start < line.end <= 0.68
    assert prompts["sound"] == prompts["film"] == PROMPT


@pytest.mark.parametrize(("latents", "most"), [(3, 9), (9, 9), (10, 9), (40, 9), (7, 2), (200, 17)])
def test_windows_cover_a_clip_and_overlap(latents, most):
    spans = windows(latents, most)
    assert spans[0][0] == 0 and spans[-1][1] == latents
    assert all(0 < last - first <= most for first, last in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert end - start == min(OVERLAP, most - 1)
