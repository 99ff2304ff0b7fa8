"""Published weights, inputs and outputs: the same to the last bits, in the arithmetic they were made with."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import scaled_dot_product_attention

from horsekit.transformer import CheckpointError, parity
from horsekit.transformer.arithmetic import PublishedArithmetic

FIXTURES = Path(__file__).parents[1] / "fixtures" / "magihuman"
NAMES = ("base", "local_window")
GOOD = dict.fromkeys(parity.EQUAL, True) | {
    "video_velocity_error": 0.004,
    "audio_velocity_error": 0.004,
    "backend_difference": 0.0,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_published_outputs_are_reproduced(name: str) -> None:
    errors = parity.measure(FIXTURES / name)
    assert parity.passes(errors), errors
    # far inside the bound: what is left are last bits of the float32 embedders and heads
    assert max(errors["video_velocity_error"], errors["audio_velocity_error"]) < 1e-4
    # other orders of summation round other values to bfloat16, which costs this much on any processor
    assert max(errors["native_video_velocity_error"], errors["native_audio_velocity_error"]) < 1e-2


def damaged(name: str, folder: Path, change: Callable) -> Path:
    shutil.copytree(FIXTURES / name, folder / name)
    file = folder / name / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    return folder / name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["block.layers.2.attention.q_norm.weight"].add_(0.1),
        lambda t: t["block.layers.1.mlp.down_proj.weight"].mul_(1.05),
        lambda t: t["adapter.rope.bands"].mul_(1.1),
        lambda t: t["final_norm_video.weight"].add_(0.02),
    ],
    ids=["query gain", "feed-forward", "rotary", "last gain"],
)
def test_weights_that_are_slightly_wrong_do_not_pass(name: str, change: Callable, tmp_path: Path) -> None:
    assert not parity.passes(parity.measure(damaged(name, tmp_path, change)))


def test_the_command_prints_one_json_line_last_and_fails_past_the_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    command = [sys.executable, "-m", "horsekit.transformer.parity", str(FIXTURES / "base")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["passed"]
    wrong = damaged("base", tmp_path, lambda t: t["final_norm_audio.weight"].add_(1.0))
    for folder, code in ((wrong, 1), (tmp_path / "nowhere", 2)):
        monkeypatch.setattr(sys, "argv", ["parity", str(folder)])
        assert parity.main() == code
        assert not json.loads(capsys.readouterr().out.splitlines()[-1])["passed"]


def test_a_folder_without_outputs_is_named(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "base", tmp_path, dirs_exist_ok=True)
    (tmp_path / "io.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"io\.safetensors holds no inputs"):
        parity.measure(tmp_path)


def test_every_bound_counts_and_not_a_number_never_passes() -> None:
    assert parity.passes(GOOD)
    for key, value in (
        ("video_velocity_error", 0.006),
        ("audio_velocity_error", float("nan")),
        ("backend_difference", 2e-5),
        ("coords_equal", False),
    ):
        assert not parity.passes({**GOOD, key: value})


def test_pinned_attention_over_blocks_of_keys_is_attention() -> None:
    make = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(1, heads, n, 8, generator=make).bfloat16() for heads, n in ((4, 20), (2, 700), (2, 700))
    )
    seen = torch.rand(20, 700, generator=make) < 0.5
    exact = scaled_dot_product_attention(*(x.float() for x in (q, k, v)), attn_mask=seen, enable_gqa=True)
    with PublishedArithmetic():
        ours = scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    assert (ours.float() - exact).norm() < 0.01 * exact.norm()
