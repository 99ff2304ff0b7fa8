"""Published tokenizers behind the protocol: Wan2.2 and LTX-2 video, Stable Audio Oobleck, T5Gemma's states.

They are the classes of diffusers and transformers, wrapped; pip install 'horsekit[pretrained]'. Weights come
from a local folder or the Hugging Face cache and are never downloaded unasked.

B clips, F frames, T latent frames, h w latent grid, S samples, N tokens, C channels, R RGB
"""

import json
import math
from abc import abstractmethod
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from einops import rearrange
from torch import Tensor, nn

from horsekit import clock
from horsekit.media.sound import resample
from horsekit.tokenizers.protocol import LatentTokenizer, TokenizerSpec, require_finite
from horsekit.tokenizers.streaming import StepStream, Stream
from horsekit.tokenizers.text import spoken_times
from horsekit.tokenizers.wan_keys import is_original, to_diffusers

EXTRA = "pip install 'horsekit[pretrained]'"
# Wan2.2's VAE (SPEC §4), in the arguments of diffusers' class
WAN22: dict[str, Any] = {
    "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "in_channels": 12, "out_channels": 12,
    "patch_size": 2, "is_residual": True, "scale_factor_spatial": 16,
    "latents_mean": [
        -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
        0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
        -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
        -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
    ],
    "latents_std": [
        0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
        0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
        0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
        0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
    ],
}  # fmt: skip


class PublishedTokenizer(LatentTokenizer):
    """A wrapped autoencoder of diffusers.

    A subclass names the class (`model_class`), where its folder lies in a published repository (`subfolder`)
    and which repository that is (`repository`).
    """

    model_class: ClassVar[str]
    subfolder: ClassVar[str]
    repository: ClassVar[str]

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.arguments = dict(model.config)

    def save_pretrained(self, folder: Path | str, dtype: torch.dtype | None = None) -> None:
        """Write the folder of diffusers, config.json and safetensors, in dtype or as the weights are held."""
        model = self.model if dtype in (None, self.model.dtype) else deepcopy(self.model).to(dtype)
        model.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, source: Path | str, dtype: torch.dtype = torch.float32) -> Self:
        """Read a local folder of diffusers, or a repository that the Hugging Face cache holds.

        Errors: ValueError saying what to download or install, or which weights are missing.
        """
        get = f"hf download {cls.repository} --include '{cls.subfolder}/*'"
        options = {"torch_dtype": dtype, "local_files_only": True, "output_loading_info": True}
        if not cls._is_own(Path(source), get):
            options["subfolder"] = cls.subfolder
        try:
            model, found = _diffusers(cls.model_class).from_pretrained(str(source), **options)
        except OSError as error:
            raise ValueError(
                f"{source} holds no {cls.model_class} and the Hugging Face cache knows none of that name; run: {get}"
            ) from error
        wrong = sorted(found["missing_keys"]) + [str(key) for key, *_ in found["mismatched_keys"]]
        if wrong:  # they would be left as they were drawn
            raise ValueError(
                f"{source} lacks {len(wrong)} weights of {cls.model_class}, such as {wrong[0]}; get it anew: {get}"
            )
        return cls(model)

    @classmethod
    def _is_own(cls, folder: Path, get: str) -> bool:
        """Whether a folder is the tokenizer's own, and not a whole model's with the tokenizer's below it.

        Errors: ValueError for one of another class.
        """
        config = folder / "config.json"
        if not config.is_file():
            return False
        named = json.loads(config.read_text(encoding="utf-8")).get("_class_name", cls.model_class)
        if named != cls.model_class and not (folder / cls.subfolder / "config.json").is_file():
            raise ValueError(f"{folder} holds no {cls.model_class} but a {named}; run: {get}")
        return named == cls.model_class

    def encoder_state(self) -> dict[str, Tensor]:
        """The encoder's tensors."""
        return {k: v for k, v in self.state_dict().items() if "decoder" not in k and "post_quant" not in k}


class _PublishedVideo(PublishedTokenizer):
    """What the two video tokenizers share: sizes, and pixels to latents and back."""

    def __init__(self, model: nn.Module, name: str, dim: int, strides: tuple[int, int, int]) -> None:
        super().__init__(model)
        rate = Fraction(clock.FRAMES_PER_SECOND, strides[0])
        self.spec = TokenizerSpec(name, "video", dim, rate, strides)

    @torch.no_grad()
    def encode(self, media: Tensor) -> Tensor:
        """Frames [B, F, H, W, R] uint8 to latents [B, T, h, w, C], the posterior's mean, normalised.

        Errors: ValueError unless F = group·k + 1 and both sides are multiples of the stride.
        """
        require_finite(media, "clip")
        group, stride, _ = self.spec.strides
        clock.latent_count(media.shape[1], group)
        if media.shape[2] % stride or media.shape[3] % stride:
            raise ValueError(
                f"frames of {media.shape[3]}×{media.shape[2]}; both sides must be multiples of {stride}"
            )
        return self._normalised(self.model.encode(self._pixels(media)).latent_dist.mode())

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents [B, T, h, w, C] to frames [B, F, H, W, R] uint8. Errors: ValueError for NaN."""
        require_finite(latents, "latent")
        return self._frames(self.model.decode(self._own(latents)).sample)

    def positions(self, count: int, origin: float = 0.0) -> Tensor:
        """[start, end) of `count` latent frames in seconds, float64 [count, 2]."""
        return clock.video_intervals(count, origin, self.spec.strides[0])

    def use_tiles(self, pixels: int) -> None:
        """Encode and decode in tiles of this side that overlap by a quarter, for what does not fit in memory.

        Errors: ValueError for a side of which a quarter is no whole latents: such tiles would be laid out of place.
        """
        quarter = 4 * self.spec.strides[1]
        if pixels < quarter or pixels % quarter:
            raise ValueError(f"tiles of {pixels} pixels; give a multiple of {quarter}")
        stride = pixels * 3 // 4
        self.model.enable_tiling(
            tile_sample_min_height=pixels,
            tile_sample_min_width=pixels,
            tile_sample_stride_height=stride,
            tile_sample_stride_width=stride,
        )

    def _pixels(self, media: Tensor) -> Tensor:
        return rearrange(media, "B F H W R -> B R F H W").to(self.model.dtype) / 127.5 - 1

    def _frames(self, pixels: Tensor) -> Tensor:
        pixels = rearrange(pixels, "B R F H W -> B F H W R").float()
        return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

    def _normalised(self, own: Tensor) -> Tensor:
        mean, deviation = self._statistics()
        latents = rearrange(own, "B C T h w -> B T h w C")
        return ((latents - mean) / deviation).float().contiguous()

    def _own(self, latents: Tensor) -> Tensor:
        mean, deviation = self._statistics()
        return rearrange(latents.to(mean) * deviation + mean, "B T h w C -> B C T h w")

    @abstractmethod
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the model's own latents, [C] each."""


class WanVideoTokenizer(_PublishedVideo):
    """Wan2.2's video tokenizer: 4 frames × 16 × 16 pixels to 48 channels, causal, the first frame alone."""

    kind = "wan2.2"
    model_class = "AutoencoderKLWan"
    subfolder = "vae"
    repository = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"

    def __init__(self, model: nn.Module) -> None:
        side = model.config.scale_factor_spatial
        group = model.config.scale_factor_temporal
        super().__init__(model, self.kind, model.config.z_dim, (group, side, side))

    @classmethod
    def from_original(cls, path: Path | str, **arguments: Any) -> Self:
        """Read the original `Wan2.2_VAE.pth`; arguments replace those of the published size.

        Errors: ValueError for a missing file, or one of another model.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"{path} is missing; run: hf download Wan-AI/Wan2.2-TI2V-5B Wan2.2_VAE.pth")
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not is_original(state):
            raise ValueError(f"{path} does not have the names of Wan2.2_VAE.pth; see from_pretrained")
        with torch.device("meta"):
            model = _diffusers(cls.model_class)(**{**WAN22, **arguments})
        state = to_diffusers(state)
        differing = sorted(set(state) ^ set(model.state_dict()))
        if differing:
            raise ValueError(f"{path} differs from Wan2.2 in {differing[:4]}; was it another VAE?")
        model.load_state_dict(state, assign=True)
        return cls(model)

    def encoder_stream(self) -> Stream:
        """Encode frames as they come, with the past kept by the network's own feature caches."""
        past = [None] * self.model._cached_conv_counts["encoder"]

        @torch.no_grad()
        def convert(frames: Tensor) -> Tensor:
            require_finite(frames, "clip")
            pixels = self._pixels(frames)
            if (patch := self.model.config.patch_size) is not None:
                pixels = patchify(pixels, patch)
            own = self.model.quant_conv(self.model.encoder(pixels, feat_cache=past, feat_idx=[0]))
            return self._normalised(own.chunk(2, dim=1)[0])

        patchify = _wan_functions().patchify
        return StepStream(convert, self.spec.steps)

    def decoder_stream(self) -> Stream:
        """Decode latents as they come, with the past kept by the network's own feature caches."""
        past = [None] * self.model._cached_conv_counts["decoder"]

        @torch.no_grad()
        def convert(latent: Tensor) -> Tensor:
            require_finite(latent, "latent")
            own = self.model.post_quant_conv(self._own(latent))
            first = past[0] is None
            pixels = self.model.decoder(own, feat_cache=past, feat_idx=[0], first_chunk=first)
            if (patch := self.model.config.patch_size) is not None:
                pixels = unpatchify(pixels, patch)
            return self._frames(pixels)

        unpatchify = _wan_functions().unpatchify
        return StepStream(convert, int)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, deviation = self.model.config.latents_mean, self.model.config.latents_std
        like = next(self.model.parameters())
        return like.new_tensor(mean), like.new_tensor(deviation)


class LTX2VideoTokenizer(_PublishedVideo):
    """LTX-2's video tokenizer: 8 frames × 32 × 32 pixels to 128 channels, causal on the way in."""

    kind = "ltx-2"
    model_class = "AutoencoderKLLTX2Video"
    subfolder = "vae"
    repository = "Lightricks/LTX-2"

    def __init__(self, model: nn.Module) -> None:
        side = model.spatial_compression_ratio
        strides = (model.temporal_compression_ratio, side, side)
        super().__init__(model, self.kind, model.config.latent_channels, strides)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        return self.model.latents_mean, self.model.latents_std


class OobleckAudioTokenizer(PublishedTokenizer):
    """Stable Audio's tokenizer at 51.2 kHz, where its 2,048 samples a latent make exactly 25 a second (SPEC §4).

    Its latents are used as they are: the published models normalise nothing.
    """

    kind = "oobleck"
    model_class = "AutoencoderOobleck"
    subfolder = "vae"
    repository = "stabilityai/stable-audio-open-1.0"

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        rate = clock.AUDIO_TOKENS_PER_SECOND
        dim = model.config.decoder_input_channels
        encoder, decoder = _oobleck_reach(model.config.downsampling_ratios)
        self.encoder_past, self.decoder_reach = encoder, (decoder, decoder)
        self.spec = TokenizerSpec(
            self.kind, "audio", dim, Fraction(rate),
            sample_rate=model.hop_length * rate, causal=False, lookahead=encoder,
        )  # fmt: skip

    @torch.no_grad()
    def encode(self, media: Tensor) -> Tensor:
        """Waveforms [B, S] at `spec.sample_rate` to latents [B, N, C], N = S / hop rounded up.

        Errors: ValueError for NaN or no samples.
        """
        require_finite(media, "sound")
        short = -media.shape[1] % self.model.hop_length
        waveform = nn.functional.pad(media, (0, short)).to(self.model.dtype)
        channels = waveform[:, None].expand(-1, self.model.config.audio_channels, -1)
        latents = self.model.encode(channels).latent_dist.mode()
        return rearrange(latents, "B C N -> B N C").float().contiguous()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, N, C] to waveforms [B, N·hop], the mean of the channels. Errors: ValueError for NaN."""
        require_finite(latents, "latent")
        latents = rearrange(latents.to(self.model.dtype), "B N C -> B C N")
        made = self.model.decode(latents).sample.float().mean(1)
        length = latents.shape[2] * self.model.hop_length
        return nn.functional.pad(made, (0, length - made.shape[1]))

    def at_44100(self, waveform: Tensor) -> Tensor:
        """Decoded waveforms [B, S] at the 44.1 kHz of a sound file: 441 samples for every 512."""
        return resample(waveform.T, self.spec.sample_rate, 44_100).T

    def positions(self, count: int, origin: float = 0.0) -> Tensor:
        """[start, end) of `count` audio tokens in seconds, float64 [count, 2]."""
        return clock.audio_intervals(count, origin)


class T5GemmaStates:
    """Prompts to the states of T5Gemma's encoder, which the published transformer reads in place of ids (SPEC §4)."""

    kind = "t5gemma"
    LIMIT = 640  # tokens; what comes after is cut
    repository = "google/t5gemma-9b-9b-ul2"

    def __init__(self, tokenizer: Any, model: nn.Module) -> None:
        self.tokenizer, self.model = tokenizer, model.eval().requires_grad_(False)
        self.spec = TokenizerSpec(self.kind, "text", model.config.encoder.hidden_size, causal=False)

    @torch.no_grad()
    def encode(self, text: str) -> Tensor:
        """A prompt to states [N, C], N ≤ 640; no padding. Errors: ValueError for an empty prompt."""
        if not text.strip():
            raise ValueError("the prompt is empty; say what is to be seen and heard")
        ids = self.tokenizer(text, return_tensors="pt", padding=False, truncation=False).input_ids
        states = self.model(input_ids=ids.to(self.model.device)).last_hidden_state[0]
        return states[: self.LIMIT].half().float()  # published models were fed what float16 keeps of them

    def positions(self, text: str) -> Tensor:
        """[start, end) of each state in seconds, float64 [N, 2]: see spoken_times."""
        found = self.tokenizer(text, return_offsets_mapping=True, truncation=False)
        return spoken_times(text, found.offset_mapping)[: self.LIMIT]

    @classmethod
    def from_pretrained(cls, source: Path | str, dtype: torch.dtype = torch.bfloat16) -> Self:
        """Read a local folder, or the repository from the Hugging Face cache; the decoder is left out.

        Errors: ValueError saying what to download or install.
        """
        try:
            from transformers import AutoConfig, AutoTokenizer, T5GemmaEncoderModel
        except ImportError as error:
            raise ValueError(f"transformers is not installed; {EXTRA}") from error
        try:
            config = AutoConfig.from_pretrained(source, local_files_only=True)
            config.is_encoder_decoder = False
            model = T5GemmaEncoderModel.from_pretrained(
                source, config=config, dtype=dtype, local_files_only=True
            )
            return cls(AutoTokenizer.from_pretrained(source, local_files_only=True), model)
        except OSError as error:
            raise ValueError(
                f"{source} holds no T5Gemma and the Hugging Face cache knows none of that name; accept its "
                f"terms and run: hf download {cls.repository}"
            ) from error


def _wan_functions() -> Any:
    from diffusers.models.autoencoders import autoencoder_kl_wan

    return autoencoder_kl_wan


def _oobleck_reach(strides: list[int]) -> tuple[int, int]:
    """How many latents on either side a latent, and what is decoded from one, depend on.

    Three dilated convolutions of kernel 7 reach 39 samples at each stage, a change of rate twice its stride,
    the convolutions at both ends 3 samples and 1 or 3 latents.
    """
    hop, rate, samples = math.prod(strides), 1, 3
    for stride in strides:
        samples += 39 * rate + 2 * stride * rate
        rate *= stride
    return 1 + -(-(samples + hop) // hop), 1 + -(-(samples + 3 * hop) // hop)


def _diffusers(name: str) -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise ValueError(f"diffusers is not installed; {EXTRA}") from error
    return getattr(diffusers, name)
