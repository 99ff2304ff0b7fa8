"""From a character's folder to its adapter, on a small untrained model."""

import json
import subprocess
import sys

import pytest
from safetensors import safe_open

from horsekit.engine.config import ROOT


@pytest.mark.slow
def test_a_folder_becomes_an_adapter_with_its_ranking_and_its_panel(tmp_path, tiny_pipeline_folder):
    command = [
        sys.executable,
        str(ROOT / "training" / "brand_character.py"),
        str(ROOT / "data/characters/fennel"),
    ]
    quick = ["--model", str(tiny_pipeline_folder), "--clips", "2", "--steps", "2", "--snapshots", "2"]
    where = ["--out", str(tmp_path / "out"), "--minutes", "5"]
    small = ["prior=null", "steps=4", "batch_size=2", "lora.rank=2", "lora.alpha=2", "lora.scope=all"]
    done = subprocess.run([*command, *quick, *where, *small], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "12 files can be used; 0 errors" in done.stdout and "is best;" in done.stdout
    out = tmp_path / "out"
    names = {
        "doctor.html",
        "ranking.json",
        "leakage.json",
        "sheet.png",
        "adapter.safetensors",
        "comfyui.safetensors",
    }
    assert names <= {path.name for path in out.iterdir()}
    ranked = {one["name"] for one in json.loads((out / "ranking.json").read_text())["ranked"]}
    assert ranked == {"base", "step-00000002", "final"}
    with safe_open(out / "adapter.safetensors", framework="pt") as stored:
        assert stored.metadata()["character"] == "Fennel"
    again = [*command, *quick, *where[:2], "--rank", str(tmp_path / "nowhere")]
    failed = subprocess.run(again, capture_output=True, text=True, cwd=tmp_path)
    assert failed.returncode and "holds no adapter" in failed.stderr
