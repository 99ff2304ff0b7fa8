from dataclasses import fields

import pytest
import torch

from horsekit.media import MediaError
from horsekit.stage.record import Truth
from horsekit.stage.script import Script, stage


@pytest.fixture(scope="module")
def staged():
    script = Script.draw(4, seconds=0.96, characters=2, speaking=True, language="ja")
    return script, *stage(script, 24)


def test_the_truth_tells_what_the_script_said(staged):
    script, clip, truth = staged
    assert truth.frames == len(clip.frames) == script.frames
    assert truth.line == script.line.text and truth.phonemes == script.phonemes
    assert torch.equal(truth.mouth, script.mouths)
    assert torch.equal(truth.parameters[1], script.characters[1].parameters)
    assert truth.move == script.camera.kind and truth.light == script.light
    assert truth.layers == script.layers()


def test_it_has_a_value_for_every_frame(staged):
    _, _, truth = staged
    for name in ("camera_position", "camera_rotation", "camera_focal"):
        assert len(getattr(truth, name)) == truth.frames
    for name in ("head_pose", "blink", "mouth", "mouth_box", "head_box", "visible"):
        assert getattr(truth, name).shape[:2] == (2, truth.frames)


def test_it_reads_back_exactly(staged, tmp_path):
    truth = staged[2]
    path = truth.save(tmp_path / "clips" / "0004")
    assert path.name == "0004.json" and sorted(p.suffix for p in path.parent.iterdir()) == [
        ".json",
        ".safetensors",
    ]
    again = Truth.open(path)
    for field in fields(Truth):
        ours, theirs = getattr(truth, field.name), getattr(again, field.name)
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs, field.name


def test_silence_reads_back_too(tmp_path):
    _, truth = stage(Script.draw(1, seconds=0.16, speaking=False), 16)
    again = Truth.open(truth.save(tmp_path / "quiet"))
    assert again.line is None and again.phonemes == ()


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "lacking"])
def test_a_damaged_record_is_named(staged, tmp_path, damage):
    path = staged[2].save(tmp_path / "0004")
    arrays = path.with_suffix(".safetensors")
    if damage == "missing":
        arrays.unlink()
    elif damage == "cut":
        arrays.write_bytes(arrays.read_bytes()[:100])
    elif damage == "text":
        path.write_text("no json")
    else:
        path.write_text("{}")
    with pytest.raises(MediaError, match=r"0004\.json"):
        Truth.open(path)
