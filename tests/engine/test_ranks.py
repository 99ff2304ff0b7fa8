"""Two processes at every ZeRO stage: the same losses as without ZeRO, and a resume that loses nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("ranks")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launcher, str(HERE / "ranks.py"), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads((out / "found.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("zero", ["1", "2", "3"])
def test_every_stage_trains_as_stage_0_does(found, zero):
    for measure in ("losses", "norms", "weights"):
        assert found[zero]["straight"][measure] == pytest.approx(found["0"]["straight"][measure], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("zero", ["0", "1", "2", "3"])
def test_a_resume_on_two_processes_loses_nothing(found, zero):
    straight, resumed = found[zero]["straight"], found[zero]["resumed"]
    assert len(straight["losses"]) == 6
    assert resumed["losses"] == pytest.approx(straight["losses"], abs=1e-6)
    assert resumed["weights"] == pytest.approx(straight["weights"], rel=1e-6)
    assert resumed["samples"] == straight["samples"] == 6 * 2 * 2


@pytest.mark.slow
@pytest.mark.parametrize("zero", ["0", "1", "2", "3"])
def test_a_resume_takes_the_rate_that_is_asked_for_now(found, zero):
    before, after = found[zero]["rates"][2], found[zero]["rates"][3]
    assert after < before / 5, "0.001 in place of 0.01"


@pytest.mark.slow
def test_what_several_processes_cannot_do_together_is_refused_with_the_remedy(found):
    unlike, seen = found["refused"]
    assert "one process has sound, pictures or voices" in unlike and "set zero=0" in unlike
    assert "preview_every is 1" in seen and "preview_every=0 or zero=2" in seen
