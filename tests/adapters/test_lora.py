"""An adapter is nothing until it is trained, acts where it should, and belongs to one model."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from horsekit.sequence import (
    Batch,
    Sequence,
    audio_segment,
    pack,
    reference_segment,
    text_segment,
    video_segment,
    voice_segment,
)
from horsekit.transformer import CheckpointError, TransformerConfig, UnifiedTransformer

# peft warns of its own dependencies while it is imported
pytestmark = pytest.mark.filterwarnings("ignore")

CONFIG = TransformerConfig(
    num_layers=3,
    hidden_size=32,
    head_dim=16,
    num_query_groups=1,
    video_in_channels=6,
    audio_in_channels=3,
    mm_layers=(0,),
    gelu7_layers=(0,),
    patch=(1, 1, 1),
    text_vocab_size=32,
    num_slots=4,
)


def model(config: TransformerConfig = CONFIG) -> UnifiedTransformer:
    """A model whose heads are not zero, so that everything inside shows."""
    torch.manual_seed(0)
    built = UnifiedTransformer(config)
    with torch.no_grad():
        built.final_linear_video.weight.normal_()
        built.final_linear_audio.weight.normal_()
    return built


def sequence(references: bool) -> Sequence:
    source = torch.Generator().manual_seed(1)
    clip = (
        video_segment(torch.randn(3, 2, 2, 6, generator=source)),
        audio_segment(torch.randn(9, 3, generator=source)),
        text_segment(torch.tensor([3, 10, 5]), torch.tensor([0, 1, 0])),
    )
    picture = reference_segment(torch.randn(1, 2, 2, 6, generator=source), slot=1)
    return Sequence((*clip, picture) if references else clip)


def batch(references: bool) -> Batch:
    return pack([sequence(references)])


def train_a_little(built: UnifiedTransformer) -> None:
    """Move every trainable weight, as some training would."""
    source = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=source))


def outputs(built: UnifiedTransformer, references: bool) -> torch.Tensor:
    with torch.no_grad():
        velocity = built(batch(references))
    return torch.cat([velocity.video.flatten(), velocity.audio.flatten()])


@pytest.mark.parametrize("scope", ["all", "media", "references"])
@pytest.mark.parametrize("references", [True, False])
def test_a_fresh_adapter_changes_no_bit(scope, references):
    from horsekit.adapters.lora import add_lora

    built = model()
    before = outputs(built, references)
    add_lora(built, 4, 4, scope)
    assert torch.equal(outputs(built, references), before)


def test_an_adapter_of_references_changes_nothing_without_them_and_something_with_them():
    from horsekit.adapters.lora import add_lora

    built = model()
    before = {references: outputs(built, references) for references in (True, False)}
    add_lora(built, 4, 4, "references")
    train_a_little(built)
    assert torch.equal(outputs(built, False), before[False])
    assert (outputs(built, True) - before[True]).abs().max() > 1e-3


def test_an_adapter_of_all_tokens_acts_without_references_too():
    from horsekit.adapters.lora import add_lora

    built = model()
    before = outputs(built, False)
    add_lora(built, 4, 4, "all")
    train_a_little(built)
    assert (outputs(built, False) - before).abs().max() > 1e-3


@pytest.mark.parametrize("layer", [0, 1])  # one with a map for each modality, one that all share
def test_an_adapter_of_media_changes_what_is_seen_and_heard_and_no_words(layer):
    from horsekit.adapters.lora import add_lora

    narrow, wide = model(), model()
    x = torch.randn(7, 32, generator=torch.Generator().manual_seed(3))
    found = {}
    for built, scope in ((narrow, "media"), (wide, "all")):
        torch.manual_seed(4)  # the same updates in both
        add_lora(built, 2, 6, scope)
        train_a_little(built)
        found[scope] = built.block.layers[layer].attention.linear_qkv(x, (4, 2, 1))
    base = narrow.block.layers[layer].attention.linear_qkv.base_layer(x, (4, 2, 1))
    assert torch.equal(found["media"][6:], base[6:])
    torch.testing.assert_close(found["media"][:6], found["all"][:6])
    assert ((found["media"][:6] - base[:6]).abs().amax(1) > 1e-3).all()


@pytest.mark.parametrize("checkpointing", [True, False])
def test_only_the_adapter_learns_also_when_layers_are_computed_again(checkpointing):
    from horsekit.adapters.lora import add_lora

    built = model()
    add_lora(built, 4, 4, "references")
    train_a_little(built)
    built.gradient_checkpointing = checkpointing
    built(batch(True)).video.square().mean().backward()
    moved = {name for name, p in built.named_parameters() if p.grad is not None}
    # of the last layer, references give keys and values and nothing else
    unused = ("layers.2.attention.linear_proj", "layers.2.mlp")
    adapter = {name for name, _ in built.named_parameters() if "lora_" in name}
    assert moved == {name for name in adapter if not any(part in name for part in unused)}
    found = torch.cat([p.grad.flatten() for p in built.parameters() if p.grad is not None])
    twin = model()
    add_lora(twin, 4, 4, "references")
    train_a_little(twin)
    twin(batch(True)).video.square().mean().backward()
    expected = torch.cat([p.grad.flatten() for p in twin.parameters() if p.grad is not None])
    torch.testing.assert_close(found, expected)


def test_the_update_is_the_low_rank_product_of_each_modality():
    from horsekit.adapters.lora import add_lora

    built = model()
    add_lora(built, 2, 6, "all")
    train_a_little(built)
    lora = built.block.layers[0].attention.linear_qkv
    x = torch.randn(7, 32, generator=torch.Generator().manual_seed(3))
    sizes, start, expected = (4, 2, 1), 0, []
    for expert, size in enumerate(sizes):
        a = lora.lora_A["default"].weight.chunk(3)[expert]
        b = lora.lora_B["default"].weight.chunk(3)[expert]
        base = lora.base_layer.weight.chunk(3)[expert]
        expected.append(x[start : start + size] @ (base + 6 / 2 * b @ a).T)
        start += size
    torch.testing.assert_close(lora(x, sizes), torch.cat(expected))


@pytest.mark.parametrize("scope", ["all", "media", "references"])
def test_a_file_brings_the_adapter_back_with_what_is_known_of_it(tmp_path, scope):
    from horsekit.adapters.lora import add_lora, load_adapter, save_adapter

    built = model()
    add_lora(built, 4, 8, scope)
    train_a_little(built)
    save_adapter(built, tmp_path / "fennel.safetensors", {"base": "horse-tiny"})
    other = model()
    about = load_adapter(other, tmp_path / "fennel.safetensors")
    assert (about["base"], about["rank"], float(about["alpha"]), about["scope"]) == (
        "horse-tiny",
        "4",
        8,
        scope,
    )
    assert torch.equal(outputs(other, True), outputs(built, True))
    with safe_open(tmp_path / "fennel.safetensors", framework="pt") as stored:
        assert "block.layers.0.attention.linear_qkv.lora_A.weight" in stored.keys()  # noqa: SIM118
    assert [path.name for path in tmp_path.iterdir()] == ["fennel.safetensors"]


def test_taking_the_adapter_off_gives_the_base_back(tmp_path):
    from horsekit.adapters.lora import add_lora, load_adapter, remove_lora, save_adapter

    built = model()
    before, names = outputs(built, True), set(built.state_dict())
    add_lora(built, 4, 4, "all")
    train_a_little(built)
    save_adapter(built, tmp_path / "a.safetensors", {})
    trained = outputs(built, True)
    remove_lora(built)
    assert torch.equal(outputs(built, True), before)
    assert set(built.state_dict()) == names
    for _ in range(2):  # a second one takes the place of the first
        load_adapter(built, tmp_path / "a.safetensors")
    assert torch.equal(outputs(built, True), trained)


def test_an_adapter_of_another_model_is_refused_and_the_model_stays_as_it_was(tmp_path):
    from horsekit.adapters.lora import add_lora, load_adapter, save_adapter

    wide = model(replace(CONFIG, hidden_size=64))
    add_lora(wide, 4, 4, "all")
    save_adapter(wide, tmp_path / "wide.safetensors", {})
    built = model()
    before = outputs(built, True)
    with pytest.raises(CheckpointError, match="belongs to another model"):
        load_adapter(built, tmp_path / "wide.safetensors")
    assert torch.equal(outputs(built, True), before)


@pytest.mark.parametrize("content", [None, b"", b"no safetensors at all"])
def test_a_file_that_is_no_adapter_is_refused_by_name(tmp_path, content):
    from horsekit.adapters.lora import load_adapter

    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors cannot be read"):
        load_adapter(model(), path)


def test_weights_that_are_no_adapter_are_refused(tmp_path):
    from horsekit.adapters.lora import load_adapter

    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is no adapter"):
        load_adapter(model(), tmp_path / "x.safetensors")


@pytest.mark.parametrize(("rank", "scope", "said"), [(0, "all", "rank is 0"), (4, "text", "scope is 'text'")])
def test_a_senseless_adapter_is_refused(rank, scope, said):
    from horsekit.adapters.lora import add_lora

    with pytest.raises(ValueError, match=said):
        add_lora(model(), rank, 4, scope)


def two_adapters(folder, scopes=("all", "all")):
    """Files of two different adapters of one model."""
    from horsekit.adapters.lora import add_lora, save_adapter

    paths = []
    for number, scope in enumerate(scopes):
        built = model()
        add_lora(built, 2 + number, 4, scope)
        for _ in range(1 + number):
            train_a_little(built)
        paths.append(folder / f"{number}.safetensors")
        save_adapter(built, paths[-1], {"name": f"adapter {number}"})
    return paths


def test_stacked_adapters_add_up_with_their_weights(tmp_path):
    from horsekit.adapters.lora import load_adapter, stack_adapters

    paths = two_adapters(tmp_path)
    sizes = (4, 2, 1)
    changes, base = [], model().block.layers[1].mlp.down_proj
    wide = torch.randn(7, base.weight.shape[1], generator=torch.Generator().manual_seed(4))
    for path in paths:
        one = model()
        load_adapter(one, path)
        changes.append(one.block.layers[1].mlp.down_proj(wide, sizes) - base(wide))
    both = model()
    about = stack_adapters(both, [(paths[0], 0.5), (paths[1], 2.0)])
    assert [a["name"] for a in about] == ["adapter 0", "adapter 1"]
    found = both.block.layers[1].mlp.down_proj(wide, sizes) - base(wide)
    torch.testing.assert_close(found, 0.5 * changes[0] + 2 * changes[1])


def test_an_adapter_of_weight_zero_does_nothing_and_scopes_stay_apart(tmp_path):
    from horsekit.adapters.lora import load_adapter, stack_adapters

    paths = two_adapters(tmp_path, ("all", "references"))
    silent = model()
    load_adapter(silent, paths[0], weight=0.0)
    assert torch.equal(outputs(silent, True), outputs(model(), True))
    both, first = model(), model()
    stack_adapters(both, [(path, 1.0) for path in paths])
    load_adapter(first, paths[0])
    assert torch.equal(outputs(both, False), outputs(first, False))  # the second acts on references alone
    assert not torch.equal(outputs(both, True), outputs(first, True))


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_copied_adapter_is_as_strong_as_told(tmp_path, strength):
    from horsekit.adapters.lora import copy_adapter, load_adapter, read_adapter

    path = two_adapters(tmp_path)[0]
    copy_adapter(path, tmp_path / "copy.safetensors", strength)
    told, copied = model(), model()
    load_adapter(told, path, strength)
    load_adapter(copied, tmp_path / "copy.safetensors")
    assert torch.equal(outputs(copied, True), outputs(told, True))
    assert read_adapter(tmp_path / "copy.safetensors")[0]["name"] == "adapter 0"


def test_a_merged_adapter_acts_as_the_one_beside_the_model(tmp_path):
    from horsekit.adapters.lora import merge_lora, stack_adapters

    paths = two_adapters(tmp_path)
    beside, within = model(), model()
    for built in (beside, within):
        stack_adapters(built, [(paths[0], 0.7), (paths[1], 1.0)])
    merge_lora(within)
    assert set(within.state_dict()) == set(model().state_dict())
    torch.testing.assert_close(outputs(within, True), outputs(beside, True), rtol=1e-3, atol=1e-3)


def test_what_cannot_be_merged_says_why(tmp_path):
    from horsekit.adapters.lora import load_adapter, merge_lora, save_adapter, stack_adapters

    built = model()
    with pytest.raises(ValueError, match="carries no adapter"):
        merge_lora(built)
    for scope, said in (("references", "reference tokens alone"), ("media", "pictures and sound alone")):
        load_adapter(built, two_adapters(tmp_path, (scope,))[0])
        with pytest.raises(ValueError, match=said):
            merge_lora(built)
    stack_adapters(built, [(path, 1.0) for path in two_adapters(tmp_path)])
    with pytest.raises(ValueError, match="several adapters"):
        save_adapter(built, tmp_path / "x.safetensors", {})


@pytest.mark.parametrize("scope", ["all", "media", "references"])
def test_remembered_references_equal_recomputed_ones_under_an_adapter(tmp_path, scope):
    from horsekit.adapters.lora import load_adapter

    built = model()
    load_adapter(built, two_adapters(tmp_path, (scope,))[0])
    with torch.no_grad():
        packed = batch(True)
        cached = built(packed, built.remember(packed.references))
        anew = built(packed)
    assert torch.equal(cached.video, anew.video) and torch.equal(cached.audio, anew.audio)


def test_an_adapter_of_references_acts_on_voices_too_and_on_nothing_without_them():
    from horsekit.adapters.lora import add_lora

    source = torch.Generator().manual_seed(5)
    heard = Sequence((*sequence(False).segments, voice_segment(torch.randn(6, 3, generator=source), 1)))
    built = model()
    with torch.no_grad():
        before, silent = built(pack([heard])).video, built(pack([sequence(False)])).video
        add_lora(built, 4, 4, "references")
        train_a_little(built)
        assert (built(pack([heard])).video - before).abs().max() > 1e-4
        assert torch.equal(built(pack([sequence(False)])).video, silent)
