"""Small tokenizers of every kind, native and published: right in shape, quick to make."""

import torch

from horsekit import clock
from horsekit.tokenizers import AudioTokenizer, LatentTokenizer, VideoTokenizer
from horsekit.tokenizers.pretrained import LTX2VideoTokenizer, OobleckAudioTokenizer, WanVideoTokenizer

WAN = {
    "base_dim": 4, "decoder_base_dim": 4, "z_dim": 6, "num_res_blocks": 1,
    "latents_mean": [0.1 * k for k in range(6)], "latents_std": [1.0 + 0.1 * k for k in range(6)],
    "in_channels": 12, "out_channels": 12, "patch_size": 2, "is_residual": True, "scale_factor_spatial": 16,
}  # fmt: skip


def video() -> VideoTokenizer:
    torch.manual_seed(0)
    tokenizer = VideoTokenizer(dim=24, patch=8, width=16, coarse=16, blocks=1, widths=(16, 16))
    frames, change = torch.rand(2000, 192) * 2 - 1, torch.rand(2000, 768) - 0.5
    tokenizer.fit(frames, frames.repeat(1, 4) + change)
    # fresh ones start at zero, and would add, change and remember nothing
    refiner = tokenizer.refiner
    for layer in (tokenizer.analyser.layers[-1], refiner.synthesis.layers[-2], refiner.leave, refiner.recall):
        torch.nn.init.normal_(layer.weight, std=0.02)
    return tokenizer.eval()


def audio() -> AudioTokenizer:
    torch.manual_seed(0)
    tokenizer = AudioTokenizer(dim=32, bands=48, width=16, blocks=1)
    noise = torch.randn(16, 6400) * torch.rand(16, 1) * torch.linspace(0, 1, 6400)
    logs = tokenizer.log_bands(noise)
    tokenizer.basis.fit(logs.unfold(1, 4, 1).transpose(2, 3).flatten(2).flatten(0, 1))
    return tokenizer.eval()


def wan() -> WanVideoTokenizer:
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    return WanVideoTokenizer(AutoencoderKLWan(**WAN))


def ltx2() -> LTX2VideoTokenizer:
    from diffusers import AutoencoderKLLTX2Video

    torch.manual_seed(0)
    model = AutoencoderKLLTX2Video(
        latent_channels=8,
        block_out_channels=(8, 16, 32, 64),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        decoder_causal=False,
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )
    return LTX2VideoTokenizer(model)


def oobleck() -> OobleckAudioTokenizer:
    from diffusers import AutoencoderOobleck

    torch.manual_seed(0)
    model = AutoencoderOobleck(
        encoder_hidden_size=16,
        channel_multiples=[1, 1, 1, 1, 1],
        decoder_channels=8,
        decoder_input_channels=8,
    )
    return OobleckAudioTokenizer(model)


NATIVE = {"video": video, "audio": audio}
PUBLISHED = {"wan": wan, "ltx2": ltx2, "oobleck": oobleck}
BUILDERS = {**NATIVE, **PUBLISHED}
VIDEO, AUDIO = ("ltx2", "video", "wan"), ("audio", "oobleck")


def media(tokenizer: LatentTokenizer, tokens: int, seed: int = 0) -> torch.Tensor:
    """Two noisy clips or sounds that fill this many latents exactly."""
    generator = torch.Generator().manual_seed(seed + tokens)
    spec = tokenizer.spec
    if spec.modality == "video":
        frames = clock.latent_frames(tokens, spec.strides[0])
        shape = (2, frames, 2 * spec.strides[1], 3 * spec.strides[2], 3)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    samples = int(spec.sample_rate / spec.rate) * tokens
    return torch.rand(2, samples, generator=generator) - 0.5
