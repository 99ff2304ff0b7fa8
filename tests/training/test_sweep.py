"""Sampler settings are compared on the same clips, and a wrong one is refused before anything is made."""

import json
import subprocess
import sys

import pytest

from horsekit.engine.config import ROOT

SCRIPT = ROOT / "training" / "sweep.py"
TINY = ["--clips", "2", "--pairs", "2", "--seconds", "1.28"]


def sweep(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)


@pytest.mark.slow
def test_variants_are_compared_clip_by_clip(tmp_path):
    file, again = tmp_path / "sweep.json", "steps=24"
    done = sweep(*TINY, again, "steps=2,references=3,timed=true", "--json", str(file))
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(file.read_text())["rows"]
    assert list(rows) == ["renderer", "as it ships", again, "steps=2,references=3,timed=true"]
    assert all(len(row) == 2 for figures in rows.values() for row in figures.values())
    assert rows[again] == rows["as it ships"], "the steps that it ships with change nothing"
    assert rows["steps=2,references=3,timed=true"]["error"] != rows["as it ships"]["error"]
    assert rows["renderer"]["error"] < rows["as it ships"]["error"]
    _, _, changed = done.stdout.partition("\nchange")
    assert "+0.000 [+0.000, +0.000] " in changed, "the same clips, no change"


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("guidance.lips=2", "guidance.sync"),
        ("guidance.sync", "key=value"),
        ("guidance.sync=99", "0 to 30"),
        ("references=9", "1 to 3"),
        ("sampler=magic", "unipc"),
        ("steps=none", "steps"),
        ("model=nowhere", "horse-tiny"),
    ],
)
def test_a_wrong_variant_is_refused_before_anything_is_made(variant, words, open_script, monkeypatch, capsys):
    module = open_script("sweep")
    monkeypatch.setattr(module, "rendered", lambda *_: pytest.fail("rendered for nothing"))
    monkeypatch.setattr(sys, "argv", ["sweep.py", *TINY, variant])
    with pytest.raises(SystemExit) as stop:
        module.main()
    assert stop.value.code == 2 and words in capsys.readouterr().err
