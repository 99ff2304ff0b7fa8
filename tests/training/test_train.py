"""The script reads a config, assembles what it names and trains; what is wrong is said in one line."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open

from horsekit.clock import frame_count, sample_count
from horsekit.engine.config import ROOT, TrainConfig
from horsekit.media import Clip, Picture

# DeepSpeed and peft warn of their own dependencies while they are imported
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def script(open_script):
    """training/train.py as a module."""
    return open_script("train")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Two clips with prompts, and a picture."""
    folder = tmp_path_factory.mktemp("clips")
    source = torch.Generator().manual_seed(0)
    lines = []
    for name in ("a.mp4", "b.mp4"):
        frames = frame_count(0.32)
        pixels = torch.randint(0, 255, (frames, 32, 32, 3), generator=source, dtype=torch.uint8)
        waveform = 0.1 * torch.randn(sample_count(frames, 16000), 1, generator=source)
        Clip(pixels, waveform).save(folder / name)
        lines.append(json.dumps({"file_name": name, "prompt": "[Image 1] says hello."}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    Picture(torch.randint(0, 255, (40, 32, 3), generator=source, dtype=torch.uint8)).save(folder / "face.png")
    return folder


def config(tmp_path: Path, folder: Path, clips: Path, mode: str, **values) -> TrainConfig:
    given = {
        "name": "x",
        "mode": mode,
        "model": str(folder),
        "tokenizers": str(folder),
        "out": str(tmp_path),
        "data": {"kind": "folder", "path": str(clips), "references": [str(clips / "face.png")], "size": 32},
        "batch_size": 2,
        "steps": 2,
        "log_every": 1,
        "lora": {"rank": 2, "alpha": 2},
    }
    given["data"]["recipe"] = {"reference_drop": 0.0}
    given["data"]["seconds"] = 0.32
    return TrainConfig(**{**given, **values})


def test_finetuning_ships_a_model_that_a_lora_can_build_on(script, tmp_path, tiny_pipeline_folder, clips):
    script.run(config(tmp_path, tiny_pipeline_folder, clips, "finetune", preview_every=2))
    weights = tmp_path / "x" / "weights"
    assert (weights / "model.safetensors").is_file()
    previews = sorted(path.name for path in (tmp_path / "x" / "previews").iterdir())
    assert previews == ["step-00000002-0.mp4", "step-00000002-1.mp4", "step-00000002.png"]
    lora = config(tmp_path, tiny_pipeline_folder, clips, "lora", name="lora", model=str(weights))
    script.run(lora)
    assert (tmp_path / "lora" / "weights" / "adapter.safetensors").is_file()


def test_a_lora_of_references_is_refused_where_nobody_is_known_by_any(
    script, tmp_path, tiny_pipeline_folder, clips
):
    data = {"kind": "folder", "path": str(clips), "size": 32, "seconds": 0.32}
    with pytest.raises(ValueError, match=r"nothing would be learnt; add data\.references .* lora\.scope=all"):
        script.run(config(tmp_path, tiny_pipeline_folder, clips, "lora", data=data))


def test_one_run_learns_several_characters(script, tmp_path, tiny_pipeline_folder, clips):
    two = [str(ROOT / "data" / "characters" / name) for name in ("fennel", "rusty")]
    data = {"kind": "characters", "characters": two, "size": 32}
    script.run(config(tmp_path, tiny_pipeline_folder, clips, "lora", data=data, steps=1, preview_every=1))
    previews = sorted(path.name for path in (tmp_path / "x" / "previews").iterdir())
    assert previews[-1] == "step-00000001.png" and len(previews) == 5
    sheet = Picture.open(tmp_path / "x" / "previews" / previews[-1]).pixels
    assert sheet.shape[1] > 3 * sheet.shape[0] / 2, (
        "seven small pictures in a row, the reference no larger than others"
    )
    said = Clip.open(tmp_path / "x" / "previews" / previews[0]).metadata
    assert said["character"] == "Fennel, Rusty" and len(said["card"]) == 2 * 64 + 2
    with safe_open(tmp_path / "x" / "weights" / "adapter.safetensors", framework="pt") as stored:
        assert stored.metadata()["character"] == "Fennel, Rusty"


def test_pretraining_starts_from_a_model_config(script, tmp_path, tiny_pipeline_folder, clips):
    architecture = tiny_pipeline_folder / "transformer" / "config.json"
    script.run(config(tmp_path, tiny_pipeline_folder, clips, "pretrain", model=str(architecture), steps=1))
    assert (tmp_path / "x" / "weights" / "config.json").read_text() == architecture.read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stepz": 3}, "unknown key stepz"),
        ({"model": "horse-huge"}, "there is no model 'horse-huge'"),
        ({"tokenizers": "nowhere"}, "there is no model 'nowhere'"),
        ({"data": {"kind": "folder", "path": "nowhere"}}, "metadata.jsonl"),
        ({"data": {"kind": "characters", "path": "nowhere"}}, "characters is empty"),
        ({"data": {"kind": "characters", "characters": ["nowhere"]}}, "nowhere is no folder"),
        ({"mode": "pretrain", "model": "horse-huge"}, "there is no preset 'horse-huge'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    script, tmp_path, tiny_pipeline_folder, clips, monkeypatch, capsys, changes, said
):
    values = config(tmp_path, tiny_pipeline_folder, clips, "finetune").model_dump(mode="json")
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({**values, **changes}))
    monkeypatch.setattr(sys, "argv", ["train.py", str(tmp_path / "x.yaml")])
    assert script.main() == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: ")]
    assert said in line
