"""The loop learns, logs, ends when it should, and goes on as if it had never stopped."""

import json
import math
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_run
import torch
from safetensors.torch import load_file

from horsekit.dataset.sample import Recipe
from horsekit.engine.config import ROOT
from horsekit.engine.launch import launch
from horsekit.engine.log import read_log
from horsekit.engine.loop import train
from horsekit.flow import Objective
from horsekit.transformer import load_transformer, precision

# DeepSpeed warns of its own dependencies while it is imported
pytestmark = pytest.mark.filterwarnings("ignore")


def state(folder: Path) -> dict[str, torch.Tensor]:
    checkpoints = folder / "checkpoints"
    return load_file(checkpoints / (checkpoints / "latest").read_text() / "state.safetensors")


def losses(folder: Path) -> list[float]:
    return [record["loss"] for record in read_log(folder) if "loss" in record]


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_six_steps_equal_three_and_three_more_bit_for_bit(tmp_path, kind):
    optimizer = {"kind": kind, "lr": 0.01}
    straight = tiny_run.configured(tmp_path, name="straight", optimizer=optimizer, accumulation=2)
    broken = tiny_run.configured(tmp_path, name="broken", optimizer=optimizer, accumulation=2)
    whole = tiny_run.run(straight)
    stopped = tiny_run.run(broken, interrupt_at=5)
    resumed = tiny_run.run(broken)
    assert whole.complete and resumed.complete and not stopped.complete
    assert stopped.progress.step == 3 and resumed.progress.step == 6
    assert resumed.progress.minutes > stopped.progress.minutes
    expected, found = state(whole.folder), state(resumed.folder)
    assert expected.keys() == found.keys()
    assert {key.split("/")[0] for key in found} == {"model", "ema", "optimizer"}
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert losses(whole.folder) == losses(resumed.folder)
    assert resumed.progress.samples == 6 * 2 * 2


def test_it_learns_and_the_average_is_shipped(tmp_path):
    config = tiny_run.configured(tmp_path, steps=60, optimizer={"kind": "muon", "lr": 0.02}, log_every=10)
    result = tiny_run.run(config)
    seen = [record["video"] for record in read_log(result.folder)]
    assert seen[-1] < 0.8 * seen[0]
    shipped = load_transformer(result.weights).state_dict()
    saved = state(result.folder)
    for name, parameter in tiny_run.model().named_parameters():
        assert torch.equal(shipped[name], saved[f"ema/{name}"])
        assert shipped[name].shape == parameter.shape


@pytest.mark.parametrize(
    ("matrix_units", "vector_units", "vendor", "fast"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
    ],
)
def test_auto_precision_multiplies_in_bf16_only_where_that_is_fast(
    tmp_path, monkeypatch, matrix_units, vector_units, vendor, fast
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: matrix_units)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vector_units)
    monkeypatch.setattr(precision, "made_by", lambda: vendor)
    runs = {
        kind: tiny_run.run(tiny_run.configured(tmp_path, name=kind, precision=kind))
        for kind in ("auto", "bf16", "fp32")
    }
    found = {kind: losses(result.folder) for kind, result in runs.items()}
    assert found["auto"] == found["bf16" if fast else "fp32"]
    assert found["bf16"] != found["fp32"]
    assert found["bf16"] == pytest.approx(found["fp32"], rel=0.02)


def test_the_log_tells_what_a_notebook_shows(tmp_path):
    result = tiny_run.run(tiny_run.configured(tmp_path, log_every=2, steps=7))
    records = read_log(result.folder)
    assert [record["step"] for record in records] == [2, 4, 6, 7]
    assert [record["samples"] for record in records] == [4, 8, 12, 14]
    first, last = records[0], records[-1]
    assert first["steps"] == 7
    assert first["eta_seconds"] > 0 and last["eta_seconds"] == 0
    assert 0 < first["seconds"] <= last["seconds"]
    assert first["loss"] == pytest.approx(first["video"] + 0.5 * first["audio"], abs=1e-5)
    assert len(first["by_level"]) == 4 and len(first["by_level"][0]) == 2
    assert first["clips_per_second"] > 0 and first["grad_norm"] > 0 and first["lr"] > 0


def test_wandb_keeps_a_run_offline_that_it_can_sync_later(tmp_path):
    result = tiny_run.run(tiny_run.configured(tmp_path, wandb="offline"))
    wanted = b"by_level/video_0"  # what the log holds, by flat names
    deadline = time.monotonic() + 60  # wandb writes in a process of its own, which may end after the run
    while wanted not in (found := _kept_by_wandb(result.folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert wanted in found and len(found) > 1000


def _kept_by_wandb(folder):
    return b"".join(path.read_bytes() for path in folder.glob("wandb/offline-run-*/run-*.wandb"))


def test_minutes_end_a_run_and_take_the_rate_down(tmp_path):
    config = tiny_run.configured(
        tmp_path, steps=1_000_000, max_minutes=0.02, schedule={"warmup_steps": 0, "decay": 1.0}
    )
    result = tiny_run.run(config)
    assert result.complete and 1 < result.progress.step < 1_000_000
    assert result.progress.minutes >= 0.02
    rates = [record["lr"] for record in read_log(result.folder)]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.5 * rates[0]
    assert not tiny_run.run(config).progress.step > result.progress.step  # its minutes stay used up


def test_held_out_loss_is_measured_on_the_same_batches_and_noise(tmp_path):
    config = tiny_run.configured(
        tmp_path,
        held_out={"kind": "stage", "path": "nowhere"},
        evaluate_every=2,
        evaluate_batches=2,
        steps=4,
        optimizer={"lr": 1e-12},
    )
    asked = []

    class HeldOut:
        def at(self, step):
            asked.append(step)
            return tiny_run.batches(config).at(step)

    objective = Objective(binding_weight=0.1, term_weight=0.1, terms=(2, 9))  # which ask the model for more
    result = tiny_run.run(config, objective=objective, held_out=HeldOut())
    found = [record["held_out"] for record in read_log(result.folder) if "held_out" in record]
    assert asked == [0, 1, 0, 1]
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-5)
    assert found[0]["loss"] > 0


def test_previews_show_the_average_and_leave_training_untouched(tmp_path):
    calls = []

    def preview(model, step, folder):
        calls.append((step, folder))
        model.eval()
        torch.randn(3)

    plain = tiny_run.run(tiny_run.configured(tmp_path, name="plain"))
    shown = tiny_run.run(tiny_run.configured(tmp_path, name="shown", preview_every=3), preview=preview)
    assert calls == [(3, shown.folder / "previews"), (6, shown.folder / "previews")]
    assert losses(plain.folder) == losses(shown.folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_the_handlers_as_they_were(tmp_path, number):
    before = signal.getsignal(number)
    result = tiny_run.run(tiny_run.configured(tmp_path), interrupt_at=1, number=number)
    assert result.progress.step == 2 and not result.complete
    assert (result.folder / "checkpoints" / "step-00000002" / "state.safetensors").is_file()
    assert signal.getsignal(number) is before


def test_only_the_last_two_checkpoints_are_kept_and_nothing_half_written(tmp_path):
    result = tiny_run.run(tiny_run.configured(tmp_path, checkpoint_minutes=1e-9))
    names = sorted(path.name for path in (result.folder / "checkpoints").iterdir())
    assert names == ["latest", "step-00000005", "step-00000006"]


def test_snapshots_are_taken_evenly_and_kept_also_over_a_stop(tmp_path):
    config = tiny_run.configured(tmp_path, steps=6, snapshots=3)
    stopped = tiny_run.run(config, interrupt_at=2)
    assert stopped.progress.step == 3
    result = tiny_run.run(config)
    taken = sorted(path.name for path in (result.folder / "snapshots").iterdir())
    assert taken == ["step-00000002", "step-00000004"]  # the third is the end itself, in weights/
    first, last = (load_file(result.folder / "snapshots" / name / "model.safetensors") for name in taken)
    assert any(not torch.equal(first[key], last[key]) for key in first)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    tiny_run.run(tiny_run.configured(tmp_path), interrupt_at=1)
    with pytest.raises(ValueError, match=r"seed was 0, now it is 1.*resume=never"):
        tiny_run.run(tiny_run.configured(tmp_path, seed=1))
    with pytest.raises(ValueError, match=r"optimizer\.kind was 'adamw', now it is 'muon'"):
        tiny_run.run(tiny_run.configured(tmp_path, optimizer={"kind": "muon"}))


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path):
    config = tiny_run.configured(tmp_path)
    folder = tiny_run.run(config, interrupt_at=1).folder / "checkpoints" / "step-00000002"
    whole = (folder / "state.safetensors").read_bytes()
    (folder / "state.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"state\.safetensors.*resume=never"):
        tiny_run.run(config)
    (folder / "state.json").write_text("{")
    with pytest.raises(ValueError, match=r"step-00000002 is damaged.*resume=never"):
        tiny_run.run(config)


def test_resume_never_starts_anew(tmp_path):
    tiny_run.run(tiny_run.configured(tmp_path), interrupt_at=3)
    result = tiny_run.run(tiny_run.configured(tmp_path, resume="never", steps=2))
    assert result.progress.step == 2
    assert [record["step"] for record in read_log(result.folder)] == [1, 2]


def test_nothing_of_the_last_run_is_left_when_one_starts_anew(tmp_path):
    folder = tiny_run.run(tiny_run.configured(tmp_path, snapshots=3)).folder
    (folder / "previews").mkdir()
    (folder / "previews" / "step-00000002-0.png").touch()
    tiny_run.run(tiny_run.configured(tmp_path, resume="never", steps=3, snapshots=1), interrupt_at=0)
    assert not (folder / "snapshots").exists() and not (folder / "previews").exists()
    assert [path.name for path in (folder / "checkpoints").glob("step-*")] == ["step-00000001"]
    config = tiny_run.configured(tmp_path, resume="never", model=str(folder / "weights"))
    with pytest.raises(ValueError, match=r"resume=never removes what is in .*another name"):
        tiny_run.run(config)
    assert (folder / "weights").is_dir()


def test_a_run_on_another_character_or_another_adapter_is_not_gone_on_with(tmp_path):
    from horsekit.adapters.lora import add_lora

    def lora(character, **values):
        data = {"kind": "characters", "characters": [str(character)]}
        return tiny_run.configured(tmp_path, mode="lora", data=data, **values)

    def lora_model(config):
        model = tiny_run.model()
        add_lora(model, config.lora.rank, config.lora.alpha, config.lora.scope)
        return model

    fennel = tmp_path / "fennel"
    shutil.copytree(ROOT / "data" / "characters" / "fennel", fennel)
    first = lora(fennel, lora={"rank": 2})
    tiny_run.run(first, interrupt_at=1, built=lora_model(first))
    other = lora(ROOT / "data" / "characters" / "rusty", lora={"rank": 2})
    with pytest.raises(ValueError, match=r"data\.characters was 'Fennel', now it is 'Rusty'.*resume=never"):
        tiny_run.run(other, built=lora_model(other))
    wider = lora(fennel, lora={"rank": 2, "scope": "all"})
    with pytest.raises(ValueError, match=r"lora\.scope was 'references', now it is 'all'"):
        tiny_run.run(wider, built=lora_model(wider))
    with (fennel / "clips" / "metadata.jsonl").open("a") as listing:
        listing.write("\n")
    with pytest.raises(ValueError, match=r"the content of its characters' folders was"):
        tiny_run.run(first, built=lora_model(first))


def test_snapshots_past_the_last_checkpoint_are_taken_anew(tmp_path):
    config = tiny_run.configured(tmp_path, snapshots=3)
    folder = tiny_run.run(config, interrupt_at=2).folder
    (folder / "snapshots" / "step-00000005").mkdir()
    (folder / "checkpoints" / ".draft-step-00000005").mkdir()
    tiny_run.run(config)
    assert sorted(path.name for path in (folder / "snapshots").iterdir()) == [
        "step-00000002",
        "step-00000004",
    ]
    assert not [*(folder / "checkpoints").glob(".draft-*")], "what was left half written is gone"


def test_a_lora_of_references_passes_over_a_batch_without_any(tmp_path):
    from horsekit.adapters.lora import add_lora

    config = tiny_run.configured(tmp_path, mode="lora", lora={"rank": 2, "scope": "references"}, steps=2)
    model = tiny_run.model()
    add_lora(model, 2, 2, "references")
    source = replace(tiny_run.batches(config), recipe=Recipe(reference_drop=1.0))
    result = train(config, launch(), model, source, Objective())
    assert result.complete and all(math.isfinite(loss) for loss in losses(result.folder))


def test_a_checkpoint_that_names_no_characters_is_gone_on_with(tmp_path):
    folder = tiny_run.run(tiny_run.configured(tmp_path), interrupt_at=1).folder / "checkpoints"
    state_file = folder / (folder / "latest").read_text() / "state.json"
    about = json.loads(state_file.read_text())
    del about["characters"]
    state_file.write_text(json.dumps(about))
    assert tiny_run.run(tiny_run.configured(tmp_path)).progress.step == 6


def test_records_past_the_last_checkpoint_are_written_again(tmp_path):
    result = tiny_run.run(tiny_run.configured(tmp_path), interrupt_at=2)
    with (result.folder / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 4, "loss": 99.0}) + '\n{"step": 5, "lo')
    again = tiny_run.run(tiny_run.configured(tmp_path))
    assert [record["step"] for record in read_log(again.folder)] == [1, 2, 3, 4, 5, 6]
    assert 99.0 not in losses(again.folder)


def test_a_loss_that_is_not_finite_ends_the_run_with_the_remedy(tmp_path):
    config = tiny_run.configured(tmp_path, optimizer={"lr": 1e30}, gradient_clip=0, steps=20)
    with pytest.raises(ValueError, match="lower the learning rate"):
        tiny_run.run(config)


def test_the_run_remembers_its_config(tmp_path):
    from horsekit.engine import load_config

    config = tiny_run.configured(tmp_path, steps=1)
    result = tiny_run.run(config)
    assert load_config(result.folder / "config.yaml") == config
    assert result.folder == ROOT / config.folder


@pytest.mark.parametrize("scope", ["all", "media", "references"])
def test_a_lora_learns_on_a_frozen_base_and_is_shipped_as_an_adapter(tmp_path, scope):
    from horsekit.adapters.lora import add_lora, load_adapter

    base = tiny_run.run(tiny_run.configured(tmp_path, name="base", steps=20)).weights
    model = load_transformer(base)
    add_lora(model, 2, 2, scope)
    config = tiny_run.configured(
        tmp_path, name="lora", mode="lora", lora={"rank": 2, "alpha": 2, "scope": scope}
    )
    stopped = tiny_run.run(config, built=model, interrupt_at=3)
    assert not any("base_layer" in key for key in state(stopped.folder))
    resumed = load_transformer(base)
    add_lora(resumed, 2, 2, scope)
    result = tiny_run.run(config, built=resumed)
    fresh = load_transformer(base)
    about = load_adapter(fresh, result.weights / "adapter.safetensors")
    assert about["base"] == "tiny" and about["steps"] == "6"
    adapted = dict(fresh.named_parameters())
    for name, weight in load_transformer(base).named_parameters():
        kept = name if name in adapted else name.replace(".weight", ".base_layer.weight")
        assert torch.equal(adapted[kept], weight)
    updates = [weight for name, weight in adapted.items() if "lora_B" in name]
    assert any(update.abs().max() > 0 for update in updates)


@pytest.fixture
def interruptible():
    """SIGINT as in a terminal; a shell's background job starts with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_signals_that_follow_the_first_at_once_do_not_count_and_a_late_one_does(monkeypatch):
    from horsekit.engine import loop

    with loop.interrupts() as interrupted:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
        monkeypatch.setattr(loop, "PATIENCE", -1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
