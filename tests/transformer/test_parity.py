"""Published weights, inputs and outputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from horsekit.transformer import parity

FIXTURES = Path(__file__).parents[1] / "fixtures" / "magihuman"
NAMES = ("base", "local_window")


@pytest.mark.parametrize("name", NAMES)
def test_the_published_outputs_are_reproduced(name):
    errors = parity.measure(FIXTURES / name)
    assert errors["packed_tokens_equal"] and errors["coords_equal"] and errors["modality_equal"]
    assert errors["backend_difference"] <= 1e-5
    assert parity.passes(errors), errors
    # whatever rounding does on this processor, a right implementation stays under one part in a hundred
    assert max(errors["video_velocity_error"], errors["audio_velocity_error"]) < 1e-2


def damaged(name, tmp_path, change):
    shutil.copytree(FIXTURES / name, tmp_path / name)
    file = tmp_path / name / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    return tmp_path / name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["block.layers.2.attention.q_norm.weight"].add_(0.5),
        lambda t: t["block.layers.1.mlp.down_proj.weight"].mul_(1.1),
        lambda t: t["adapter.rope.bands"].mul_(1.2),
        lambda t: t["final_norm_video.weight"].add_(0.02),
    ],
    ids=["query gain", "feed-forward", "rotary", "last gain"],
)
def test_weights_that_are_slightly_wrong_do_not_pass(name, change, tmp_path):
    assert not parity.passes(parity.measure(damaged(name, tmp_path, change)))


def test_the_command_prints_one_json_line_last_and_fails_past_the_bounds(tmp_path):
    wrong = damaged("base", tmp_path, lambda t: t["final_norm_audio.weight"].add_(1.0))
    for folder, code in ((FIXTURES / "base", 0), (wrong, 1)):
        run = subprocess.run(
            [sys.executable, "-m", "horsekit.transformer.parity", str(folder)], capture_output=True, text=True
        )
        assert run.returncode == code, run.stderr
        assert json.loads(run.stdout.splitlines()[-1])["passed"] is (code == 0)


def test_noise_is_measured_and_not_a_number_never_passes():
    good = {
        "packed_tokens_equal": True,
        "coords_equal": True,
        "modality_equal": True,
        "video_velocity_error": 0.004,
        "audio_velocity_error": 0.004,
        "rounding_noise": 0.0,
        "backend_difference": 0.0,
    }
    assert parity.passes(good)
    assert parity.passes({**good, "video_velocity_error": 0.007, "rounding_noise": 0.006})
    assert not parity.passes({**good, "video_velocity_error": 0.007})
    assert not parity.passes({**good, "audio_velocity_error": float("nan")})
    assert not parity.passes({**good, "backend_difference": 2e-5})
    assert not parity.passes({**good, "coords_equal": False})


def test_a_float32_run_is_not_noisy():
    folder = FIXTURES / "base"
    model = parity.load_magihuman(folder)
    batch = parity.published_batch(model.config, load_file(folder / "io.safetensors"))
    with torch.inference_mode():
        assert parity.rounding_noise(model, batch) < 1e-4
