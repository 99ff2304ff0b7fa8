"""The probe goes from tokenizers to figures and curves."""

import json
import subprocess
import sys

import pytest

from horsekit.engine.config import ROOT
from horsekit.tokenizers import load_tokenizers

SCRIPT = ROOT / "training" / "probe.py"
SHIPPED = ROOT / "horsekit" / "weights" / "horse-tiny"
TINY = ["steps=2", "data.clips=4", "held_out.clips=4", "batch_size=2", "evaluate_every=1", "log_every=1"]


def probe(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)


def test_a_candidate_is_trained_on_and_judged(tmp_path):
    done = probe(f"now={SHIPPED}", "--clips", "2", "--steps", "3", "--out", str(tmp_path), "--set", *TINY)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / "probe.json").read_text())["now"]
    assert figures["round trip"]["error"]["value"] < figures["model"]["error"]["value"], (
        "two steps teach nothing"
    )
    digest = load_tokenizers(SHIPPED).digest
    assert (tmp_path / "now" / "latents" / digest / "train").is_dir(), "other tokenizers, other latents"
    assert (tmp_path / "probe.png").stat().st_size and (tmp_path / "now" / "sheet.png").stat().st_size


@pytest.mark.parametrize("candidate", ["nowhere", "x=nowhere"])
def test_a_candidate_without_tokenizers_is_named(candidate, tmp_path):
    done = probe(candidate, "--out", str(tmp_path))
    assert done.returncode == 2 and "lacks text, video, audio" in done.stderr
