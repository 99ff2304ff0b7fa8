"""A reader of voices from nothing: few voices, seconds of training."""

import json
import resource
import subprocess
import sys

from safetensors.torch import load_file

from horsekit.engine.config import ROOT
from horsekit.metrics import voice


def _few_files() -> None:
    """Fewer than there are takes: each held one open once, and 2,500 voices were too many."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (72, 72))


def test_a_reader_is_trained_and_measured_and_can_be_read(tmp_path):
    command = [sys.executable, str(ROOT / "training" / "train_voice.py"), "--voices", "8", "--held-out", "4"]
    where = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out"), "--minutes", "0.05"]
    done = subprocess.run(
        [*command, *where], capture_output=True, text=True, timeout=120, preexec_fn=_few_files
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reader = voice.VoiceReader()
    reader.load_state_dict(load_file(tmp_path / "out" / voice.FILE))
    card = json.loads((tmp_path / "out" / "voice.json").read_text())
    assert card["voices"] == 8 and card["minutes"] == 0.05
    assert all(25 <= card[name] <= 100 for name in ("found in clips, %", "found by a line, %"))
    (cached,) = (tmp_path / "cache").iterdir()
    kept = load_file(cached)
    assert kept["voice"].unique().tolist() == [*range(8)] and kept["moments"].isfinite().all()
