"""Published tokenizers: every layout of their files is read, and what is missing is said plainly."""

import re

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from tiny_tokenizers import WAN, ltx2, media, oobleck, wan
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5GemmaConfig, T5GemmaEncoderModel, T5GemmaModuleConfig

from horsekit.tokenizers.pretrained import WAN22, OobleckAudioTokenizer, T5GemmaStates, WanVideoTokenizer
from horsekit.tokenizers.preview import PreviewDecoder
from horsekit.tokenizers.wan_keys import to_diffusers

# some names of Wan2.2_VAE.pth, as its source builds them, and where diffusers keeps the same tensor
PAIRS = {
    "conv1.weight": "quant_conv.weight",
    "encoder.conv1.bias": "encoder.conv_in.bias",
    "encoder.downsamples.0.downsamples.1.residual.6.weight": "encoder.down_blocks.0.resnets.1.conv2.weight",
    "encoder.downsamples.0.downsamples.2.resample.1.bias": "encoder.down_blocks.0.downsampler.resample.1.bias",
    "encoder.downsamples.1.downsamples.0.shortcut.weight": "encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
    "encoder.downsamples.2.downsamples.2.time_conv.weight": "encoder.down_blocks.2.downsampler.time_conv.weight",
    "encoder.middle.1.to_qkv.weight": "encoder.mid_block.attentions.0.to_qkv.weight",
    "decoder.middle.2.residual.3.gamma": "decoder.mid_block.resnets.1.norm2.gamma",
    "decoder.upsamples.0.upsamples.3.time_conv.bias": "decoder.up_blocks.0.upsampler.time_conv.bias",
    "decoder.upsamples.3.upsamples.2.residual.0.gamma": "decoder.up_blocks.3.resnets.2.norm1.gamma",
    "decoder.head.2.weight": "decoder.conv_out.weight",
}  # fmt: skip


def original(name: str, blocks: dict[str, int]) -> str:
    """The original name of a tensor of diffusers; blocks: residual blocks per stage of each half."""
    inside = {
        "norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6",
        "conv_shortcut": "shortcut",
    }  # fmt: skip
    for ours, theirs in (
        ("post_quant_conv", "conv2"), ("quant_conv", "conv1"), ("conv_in", "conv1"), ("norm_out", "head.0"),
        ("conv_out", "head.2"), ("mid_block.attentions.0", "middle.1"), ("mid_block.resnets.0", "middle.0"),
        ("mid_block.resnets.1", "middle.2"),
    ):  # fmt: skip
        name = name.replace(ours, theirs)
    found = re.fullmatch(r"(encoder|decoder)\.(down|up)_blocks\.(\d)\.(.+)", name)
    if found:
        half, way, stage, rest = found.groups()
        rest = rest.replace(f"{way}sampler.", f"resnets.{blocks[half]}.").removeprefix("resnets.")
        name = f"{half}.{way}samples.{stage}.{way}samples.{rest}"
    if ".middle." in name or "samples." in name:
        for ours, theirs in inside.items():
            name = re.sub(rf"\.{ours}\.(?=weight|bias|gamma)", f".{theirs}.", name)
    return name


def test_the_names_of_the_original_file_are_known():
    state = {name: torch.zeros(()) for name in PAIRS}
    assert list(to_diffusers(state)) == list(PAIRS.values())
    with pytest.raises(ValueError, match="is no tensor of Wan2"):
        to_diffusers({"decoder.upsamples.0.residual.0.gamma": torch.zeros(())})  # of Wan2.1


def test_every_tensor_of_the_published_size_has_an_original_name():
    with torch.device("meta"):
        names = list(AutoencoderKLWan(**WAN22).state_dict())
    originals = [original(name, {"encoder": 2, "decoder": 3}) for name in names]
    assert len(set(originals)) == len(names) == 196
    assert list(to_diffusers(dict.fromkeys(originals))) == names
    assert PAIRS.keys() <= set(originals)


def test_the_original_file_and_the_diffusers_folder_give_the_same_latents(tmp_path):
    tokenizer = wan()
    names = {"encoder": 1, "decoder": 2}
    torch.save(
        {original(name, names): tensor for name, tensor in tokenizer.model.state_dict().items()},
        tmp_path / "Wan2.2_VAE.pth",
    )
    again = WanVideoTokenizer.from_original(tmp_path / "Wan2.2_VAE.pth", **WAN)
    content = media(tokenizer, 2)
    assert torch.equal(again.encode(content), tokenizer.encode(content))
    tokenizer.save_pretrained(tmp_path / "whole" / "vae")
    from_repository = WanVideoTokenizer.from_pretrained(tmp_path / "whole")
    assert torch.equal(from_repository.encode(content), tokenizer.encode(content))
    with pytest.raises(ValueError, match="differs from Wan2"):
        WanVideoTokenizer.from_original(tmp_path / "Wan2.2_VAE.pth", **WAN | {"num_res_blocks": 2})


def test_latents_are_normalised_with_the_published_statistics():
    tokenizer = wan()
    content = media(tokenizer, 1)
    pixels = content.movedim(-1, 1).float() / 127.5 - 1
    with torch.inference_mode():
        own = tokenizer.model.encode(pixels).latent_dist.mode().movedim(1, -1)
    expected = (own - torch.tensor(WAN["latents_mean"])) / torch.tensor(WAN["latents_std"])
    torch.testing.assert_close(tokenizer.encode(content), expected)
    assert len(WAN22["latents_mean"]) == len(WAN22["latents_std"]) == 48


@pytest.mark.parametrize("build", [wan, ltx2, oobleck])
def test_what_is_missing_is_said_with_the_command_that_gets_it(build, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    kind = type(build())
    for source in (tmp_path, kind.repository):
        with pytest.raises(ValueError, match=f"hf download {kind.repository}"):
            kind.from_pretrained(source)


def test_a_missing_original_file_is_said():
    with pytest.raises(ValueError, match=r"hf download Wan-AI/Wan2\.2-TI2V-5B Wan2\.2_VAE\.pth"):
        WanVideoTokenizer.from_original("nowhere.pth")


def test_weights_that_are_missing_and_folders_of_other_models_are_named(tmp_path):
    wan().save_pretrained(tmp_path / "vae")
    file = next((tmp_path / "vae").glob("*.safetensors"))
    tensors = load_file(file)
    del tensors["decoder.conv_in.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"lacks 1 weights .* such as decoder\.conv_in\.weight; .*hf download"
    ):
        WanVideoTokenizer.from_pretrained(tmp_path / "vae")
    wan().save_pretrained(tmp_path / "vae")
    (tmp_path / "config.json").write_text('{"_class_name": "WanTransformer3DModel"}')
    assert WanVideoTokenizer.from_pretrained(tmp_path).spec == wan().spec, "the one below is taken"
    with pytest.raises(ValueError, match="holds no AutoencoderOobleck"):
        OobleckAudioTokenizer.from_pretrained(tmp_path / "vae")


@pytest.mark.parametrize(("build", "pixels"), [(wan, 96), (ltx2, 64), (ltx2, 192), (wan, 0)])
def test_tiles_that_would_be_laid_out_of_place_are_refused(build, pixels):
    with pytest.raises(ValueError, match=f"tiles of {pixels} pixels; give a multiple of (64|128)"):
        build().use_tiles(pixels)


@pytest.mark.parametrize(("build", "pixels", "nearness"), [(wan, 64, 20), (ltx2, 128, 15)])
def test_large_frames_in_tiles_are_near_the_whole(build, pixels, nearness):
    whole, tiled = build(), build()
    tiled.use_tiles(pixels)
    frames = whole.spec.steps(2)
    content = torch.nn.functional.interpolate(
        torch.rand(frames, 3, 6, 6, generator=torch.Generator().manual_seed(0)),
        size=pixels * 3 // 2,
        mode="bicubic",
    )
    content = (content.clamp(0, 1) * 255).to(torch.uint8).movedim(1, -1)[None]
    latents = whole.encode(content)
    error = (whole.decode(latents).float() - tiled.decode(latents).float()).square().mean()
    assert error > 0, "tiles were used"
    # not nearer: one layer attends over the whole frame, or the whole tile
    assert 10 * torch.log10(255**2 / error) > nearness


def test_sound_goes_back_to_the_rate_of_a_file():
    tokenizer = oobleck()
    assert tokenizer.spec.sample_rate == 51_200 and tokenizer.spec.rate == 25
    seconds = torch.arange(51_200) / 51_200
    made = tokenizer.at_44100(torch.sin(2 * torch.pi * 440 * seconds)[None])
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(44_100) / 44_100)
    torch.testing.assert_close(made[0, 100:-100], expected[100:-100], atol=1e-3, rtol=0)


def t5gemma(folder):
    words = {word: number for number, word in enumerate(("<pad>", "<eos>", "<bos>", "<unk>", "a", "fox"))}
    model = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=model, unk_token="<unk>").save_pretrained(folder)
    part = T5GemmaModuleConfig(
        vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, sliding_window=8,
    )  # fmt: skip
    torch.manual_seed(0)
    config = T5GemmaConfig(encoder=part, decoder=part, is_encoder_decoder=False, vocab_size=8)
    T5GemmaEncoderModel(config).save_pretrained(folder)
    return T5GemmaStates.from_pretrained(folder, dtype=torch.float32)


def test_states_of_a_timed_line_have_their_time(tmp_path):
    times = t5gemma(tmp_path).positions('a "fox a" (1-2 s)')
    assert times[0].isnan().all() and times[2:4].isfinite().all() and times[4:].isnan().all()
    assert times[2:4].flatten().tolist() == pytest.approx([1, 1.6, 1.8, 2])


def test_prompts_become_states_without_padding_cut_at_640(tmp_path):
    states = t5gemma(tmp_path)
    short = states.encode("a fox")
    assert short.shape == (2, 16) and short.dtype == torch.float32
    assert torch.equal(short, short.half().float()), "what float16 keeps"
    assert states.encode("fox " * 700).shape == (640, 16)
    with pytest.raises(ValueError, match="empty"):
        states.encode(" ")
    with pytest.raises(ValueError, match="hf download google/t5gemma"):
        T5GemmaStates.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("channels, patch, group, side", [(48, 2, 4, 16), (128, 4, 8, 32)])
def test_previews_have_the_size_of_the_real_thing(channels, patch, group, side, tmp_path):
    torch.manual_seed(0)
    decoder = PreviewDecoder(channels, patch, group)
    state = decoder.state_dict()
    name = "decoder.7.conv.weight"
    if group == 4:  # as in files whose first growing layer makes two frames of which the later is used
        state[name] = torch.cat([torch.randn_like(state[name]), state[name]])
    torch.save({**state, "encoder.0.weight": torch.zeros(1)}, tmp_path / "tiny.pth")
    again = PreviewDecoder.from_pretrained(tmp_path / "tiny.pth")
    latents = torch.randn(2, 3, 2, 3, channels)
    with torch.inference_mode():
        frames = again.decode(latents)
        assert torch.equal(frames, decoder.decode(latents))
        assert torch.equal(again.decode(latents[:, :2]), frames[:, : group + 1]), "causal"
    assert frames.shape == (2, 2 * group + 1, 2 * side, 3 * side, 3) and frames.dtype == torch.uint8


def test_a_preview_of_another_layout_is_refused(tmp_path):
    torch.save({"decoder.1.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="layout of taew2_2"):
        PreviewDecoder.from_pretrained(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="is missing"):
        PreviewDecoder.from_pretrained(tmp_path / "none.pth")
