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
    small = [
        "--set",
        "prior=null",
        "steps=4",
        "batch_size=2",
        "lora.rank=2",
        "lora.alpha=2",
        "log_every=1",
    ]
    done = subprocess.run([*command, *quick, *where, *small], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "12 files can be used; 0 errors" in done.stdout and "is best;" in done.stdout
    assert "was trained to act on tokens of pictures and sound alone" in done.stderr
    out = tmp_path / "out"
    names = {
        "doctor-fennel.html",
        "ranking.json",
        "leakage-fennel.json",
        "sheet-fennel.png",
        "curve.png",
        "adapter.safetensors",
        "comfyui.safetensors",
    }
    assert names <= {path.name for path in out.iterdir()}
    ranked = {one["name"] for one in json.loads((out / "ranking.json").read_text())["ranked"]}
    assert ranked == {"base", "step-00000002", "final", "final × 0.5"}
    with safe_open(out / "adapter.safetensors", framework="pt") as stored:
        assert stored.metadata()["character"] == "Fennel"
    (run,) = (folder.parent for folder in out.glob("**/snapshots"))
    measure = [sys.executable, str(ROOT / "training" / "evaluate.py"), "snapshots", "--run", str(run)]
    aside = ["--character", command[-1], "--json", str(tmp_path / "again.json"), *quick[:-2]]
    done = subprocess.run([*measure, *aside], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads((out / "ranking.json").read_text())
    again = [*command, *quick, *where[:2], "--run", str(tmp_path / "nowhere")]
    failed = subprocess.run(again, capture_output=True, text=True, cwd=tmp_path)
    assert failed.returncode and "holds no adapter" in failed.stderr
