"""Weights: complete and of this model, or a clear error."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from horsekit.transformer import (
    CheckpointError,
    TransformerConfig,
    UnifiedTransformer,
    load_magihuman,
    load_transformer,
    save_transformer,
)

CONFIG = TransformerConfig(
    num_layers=2,
    hidden_size=32,
    head_dim=16,
    num_query_groups=1,
    video_in_channels=8,
    audio_in_channels=4,
    text_in_channels=12,
    mm_layers=(0,),
    gelu7_layers=(0,),
)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save_transformer(UnifiedTransformer(CONFIG), tmp_path)
    return tmp_path


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_what_is_saved_is_loaded(folder):
    torch.manual_seed(0)
    model, again = UnifiedTransformer(CONFIG), load_transformer(folder)
    assert again.config == CONFIG
    for (name, a), (_, b) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_shipping_in_half_the_bytes_keeps_gains_and_bands_whole(folder):
    model = load_transformer(folder)
    save_transformer(model, folder, dtype=torch.bfloat16)
    stored = load_file(folder / "model.safetensors")
    assert stored["block.layers.0.mlp.down_proj.weight"].dtype == torch.bfloat16
    assert stored["adapter.rope.bands"].dtype == torch.float32
    again = load_transformer(folder)
    assert {p.dtype for p in again.parameters()} == {torch.float32}


def test_shards_are_read_through_their_index(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {}
    for part, own in enumerate((names[::2], names[1::2])):
        file = f"model-{part}.safetensors"
        save_file({name: tensors[name] for name in own}, folder / file)
        weight_map |= dict.fromkeys(own, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    again = load_magihuman(folder, torch.float32)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in again.state_dict().items())
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks the shard model-1\.safetensors"):
        load_magihuman(folder)


def test_published_maps_are_bfloat16_and_all_else_is_float32(folder):
    for name, tensor in load_magihuman(folder).state_dict().items():
        maps = name.startswith("block.") and tensor.ndim == 2
        assert tensor.dtype == (torch.bfloat16 if maps else torch.float32), name


def test_slots_are_added_to_weights_that_have_none_and_say_nothing(folder):
    slots = load_magihuman(folder, num_slots=4).adapter.slot_embedder.weight
    assert slots.shape == (5, 32) and not slots.any() and slots.requires_grad


def test_a_folder_without_config_takes_one(folder):
    (folder / "config.json").unlink()
    assert load_magihuman(folder, torch.float32, config=CONFIG).config == CONFIG


def test_the_config_names_the_precision_that_was_asked_for(folder, tmp_path):
    model = load_magihuman(folder, config=CONFIG)
    assert model.config.params_dtype == "bfloat16"
    save_transformer(model, tmp_path / "again")
    again = load_transformer(tmp_path / "again").state_dict()
    assert all(tensor.dtype == again[key].dtype for key, tensor in model.state_dict().items())


def test_an_index_that_is_none_is_named(folder):
    (folder / "model.safetensors.index.json").write_text('{"weights": 1}')
    with pytest.raises(CheckpointError, match="no index of shards"):
        load_magihuman(folder)


def test_a_missing_an_unknown_and_a_misshapen_tensor_are_named(folder):
    whole = (folder / "model.safetensors").read_bytes()
    rewrite(folder, lambda t: t.pop("final_norm_audio.weight"))
    with pytest.raises(CheckpointError, match=r"lacks final_norm_audio\.weight"):
        load_magihuman(folder)
    (folder / "model.safetensors").write_bytes(whole)
    rewrite(folder, lambda t: t.update({"block.layers.9.bias": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"also holds block\.layers\.9\.bias"):
        load_magihuman(folder)
    (folder / "model.safetensors").write_bytes(whole)
    rewrite(folder, lambda t: t.update({"final_norm_audio.weight": torch.zeros(7)}))
    with pytest.raises(CheckpointError, match=r"final_norm_audio\.weight.*\(7,\)"):
        load_magihuman(folder)


def test_damaged_files_and_empty_folders_are_named(folder, tmp_path_factory):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_transformer(folder)
    weights.unlink()
    with pytest.raises(CheckpointError, match="neither"):
        load_transformer(folder)
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_transformer(tmp_path_factory.mktemp("empty"))


def test_a_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    import horsekit.transformer.checkpoint as checkpoint

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_transformer(UnifiedTransformer(CONFIG), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["horse-tiny", "horse-1b", "magihuman-15b"])
def test_presets_survive_the_round_trip(name):
    config = TransformerConfig.preset(name)
    assert TransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_heads": 3}, "unknown key 'num_heads'"),
        ({"head_dim": 48}, "no multiple of head_dim 48"),
        ({"num_query_groups": 3}, "3 query groups"),
        ({"mm_layers": [0, 40]}, "names layer 40"),
        ({"params_dtype": "float8"}, "'float8'"),
        ({"local_attn_layers": [0]}, "frame_receptive_field"),
        ({"hidden_size": "wide"}, "hidden_size is 'wide'"),
        ({"num_layers": 40.0}, "num_layers is 40.0"),
        ({"mm_layers": 3}, "wrong type"),
        ({"mm_layers": ["0"]}, "whole numbers"),
        ({"video_in_channels": 191}, "191 are no patches"),
        ({"patch": [2, 2]}, r"patch is \(2, 2\)"),
        ({"num_slots": -1}, "num_slots is -1"),
        ({"num_layers": 0}, "num_layers is 0"),
    ],
)
def test_a_config_that_does_not_fit_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        TransformerConfig.from_dict({"transformer": change})


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="no preset 'pony'"):
        TransformerConfig.preset("pony")
