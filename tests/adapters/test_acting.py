"""What an adapter on a pipeline acts on, and what a clip then says of it."""

import pytest
import torch

from horsekit import Pipeline
from horsekit.media import Clip, Picture
from horsekit.request import Request

PROMPT = '[Image 1] says: "good morning".'
PICTURE = Picture(
    torch.randint(0, 256, (40, 56, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
)
RIGHTS = {"character": "Bo", "card": "c0ffee", "consent": "Bo's, 2026", "expiry": "2999-01-01"}


def test_a_clip_says_what_made_it_and_whose_character_it_shows(
    tiny_pipeline_folder, tmp_path, strong_adapter
):
    model = Pipeline.from_pretrained(tiny_pipeline_folder)
    path = strong_adapter(tmp_path / "a.safetensors", RIGHTS)
    model.adapt(path, (path, 0.5))
    clip = model.generate(PROMPT, [PICTURE], 0.32, seed=4)
    saved = Clip.open(clip.save(tmp_path / "x.mp4")).metadata
    assert saved["character"] == "Bo, Bo" and saved["card"] == "c0ffee, c0ffee"
    assert saved["seed"] == "4" and saved["prompt"] == PROMPT
    model.adapt()
    assert "character" not in model.generate(PROMPT, [PICTURE], 0.32).metadata


def test_an_adapter_of_media_leaves_clips_without_references_alone_in_any_company(
    tiny_pipeline_folder, tmp_path, strong_adapter
):
    model = Pipeline.from_pretrained(tiny_pipeline_folder)
    torch.nn.init.normal_(
        model.transformer.final_linear_video.weight, 0, 0.1, torch.Generator().manual_seed(1)
    )
    asked = [Request("a quiet room.", (), 0.32), Request(PROMPT, [PICTURE], 0.32)]
    base = [model.generate_many([request])[0] for request in asked]
    model.adapt(strong_adapter(tmp_path / "a.safetensors", RIGHTS, "media"))
    seen = []
    adapted = model.generate_many(asked, callback=lambda progress: seen.append(progress.index))
    assert seen == [*range(2 * model.settings.steps)]
    assert torch.equal(adapted[0].frames, base[0].frames)
    assert torch.equal(adapted[0].waveform, base[0].waveform)
    assert (adapted[1].frames.int() - base[1].frames.int()).abs().max() > 20
    assert "character" not in adapted[0].metadata and adapted[1].metadata["character"] == "Bo"
    with pytest.warns(UserWarning, match="hand in pictures"):
        model.generate("a quiet room.", (), 0.32)
    model.adapt(strong_adapter(tmp_path / "b.safetensors", RIGHTS))
    assert not torch.equal(model.generate_many(asked)[0].frames, base[0].frames)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"expiry": "2020-01-01"}, "rights ended on 2020-01-01"), ({"consent": None}, "nobody's is named")],
)
def test_a_character_whose_rights_are_in_doubt_is_warned_of(
    tiny_pipeline_folder, tmp_path, change, words, strong_adapter
):
    about = {key: value for key, value in (RIGHTS | change).items() if value is not None}
    path = strong_adapter(tmp_path / "a.safetensors", about)
    with pytest.warns(UserWarning, match=words):
        Pipeline.from_pretrained(tiny_pipeline_folder).adapt(path)
