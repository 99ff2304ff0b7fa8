"""The unified transformer: text, video and audio tokens in one stream, self-attention only (SPEC §1).

S tokens, D width, C channels, G key/value heads, d head width
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from horsekit.sequence import Batch, Modality, Stream
from horsekit.transformer.attention import KeysValues, Layout, layout
from horsekit.transformer.config import TransformerConfig
from horsekit.transformer.layers import (
    ExpertLinear,
    Layer,
    RMSNorm,
    SharedLinear,
    SlotEmbedding,
    index_positions,
)


class Prediction(NamedTuple):
    """Of every token to make, in the meaning of config.predicts: video [Nv, C], audio [Na, C], float32.

    tags [Nv, slots], of a model with slots: logits of whose picture a video token takes itself for, by how much of
    each slot's vector it carries half-way through the layers; words [Nv, vocabulary], of a model that reads token
    ids and outside of inference mode: the same of each word's.
    """

    video: Tensor
    audio: Tensor
    tags: Tensor | None = None
    words: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Memory:
    """Keys and values [S, G, d] of reference tokens in every layer.

    They depend on the pictures and voices alone, so one memory serves every step and noise level. lengths: tokens
    of each, in the order of the reference stream.
    """

    layers: tuple[KeysValues, ...]
    lengths: tuple[int, ...]


class Adapter(nn.Module):
    """From each modality's channels into the stream; the key names are the published ones (SPEC §1.8)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.video_embedder = nn.Linear(config.video_in_channels, width)
        self.audio_embedder = nn.Linear(config.audio_in_channels, width)
        if config.text_vocab_size is None:
            self.text_embedder = nn.Linear(config.text_in_channels, width)
        else:
            self.text_embedder = nn.Embedding(config.text_vocab_size, width)
        self.rope = nn.Module()
        self.rope.register_buffer("bands", torch.empty(config.bands))
        if config.num_slots:
            self.slot_embedder = SlotEmbedding(config.num_slots + 1, width)

    def forward(self, stream: Stream) -> Tensor:
        """Tokens to rows [S, D], fp32 under autocast as well (SPEC §1.2)."""
        with torch.autocast(stream.coords.device.type, enabled=False):
            return self._rows(stream)

    def _rows(self, stream: Stream) -> Tensor:
        parts = [
            embedder(values.float())
            for values, embedder in ((stream.video, self.video_embedder), (stream.audio, self.audio_embedder))
            if len(values)
        ]
        if len(stream.text):
            parts.append(self._words(stream))
        x = torch.cat(parts)
        if hasattr(self, "slot_embedder"):
            x = x + self.slot_embedder(stream.slots)
        return x

    def _words(self, stream: Stream) -> Tensor:
        if isinstance(self.text_embedder, nn.Linear):
            return self.text_embedder(stream.text.float())
        lengths = [count[Modality.TEXT] for count in stream.counts]
        places = index_positions(max(lengths), self.text_embedder.embedding_dim, stream.text.device)
        return self.text_embedder(stream.text) + torch.cat([places[:n] for n in lengths])


class UnifiedTransformer(nn.Module):
    """Predicts the velocity of every video and audio token of a batch, or what config.predicts says instead.

    config.params_dtype is that of the layers' linear maps, and so of the products in them: bfloat16 is the published
    precision (all else stays float32), float32 is for small models and for a CPU. attention_backend: "sdpa", "dense"
    or, on CUDA, "flex"; gradient_checkpointing: recompute layers in the backward pass.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dtype = getattr(torch, config.params_dtype)
        self.config = config
        self.attention_backend = "sdpa"
        self.gradient_checkpointing = False
        self.adapter = Adapter(config)
        self.block = nn.Module()
        self.block.layers = nn.ModuleList(Layer(config, i, dtype) for i in range(config.num_layers))
        self.final_norm_video = RMSNorm(config.hidden_size)
        self.final_norm_audio = RMSNorm(config.hidden_size)
        self.final_linear_video = nn.Linear(config.hidden_size, config.video_in_channels, bias=False)
        self.final_linear_audio = nn.Linear(config.hidden_size, config.audio_in_channels, bias=False)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Start for training from scratch.

        linear maps   normal, std 1/√width_in; those that write to the residual smaller by √(2·layers)
        embedders     normal, std 1/√channels, words std 1; biases 0
        norms, heads, slots   0: gains start at 1, the prediction at 0, slots say nothing yet
        """
        depth = (2 * self.config.num_layers) ** -0.5
        for name, module in self.named_modules():
            if isinstance(module, (ExpertLinear, SharedLinear)):
                std = module.weight.shape[1] ** -0.5
                out = name.endswith(("linear_proj", "down_proj"))
                module.weight.normal_(0, std * depth if out else std)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0, module.in_features**-0.5)
                if module.bias is not None:
                    module.bias.zero_()
        if isinstance(self.adapter.text_embedder, nn.Embedding):
            self.adapter.text_embedder.weight.normal_()
        if self.config.num_slots:
            self.adapter.slot_embedder.weight.zero_()
        self.final_linear_video.weight.zero_()
        self.final_linear_audio.weight.zero_()
        bands = self.adapter.rope.bands
        steps = torch.arange(len(bands), dtype=torch.float32, device=bands.device)
        bands.copy_(self.config.rotary_top * self.config.rotary_span ** (-steps / len(bands)))

    def remember(self, references: Stream) -> Memory:
        """Run reference pictures and voices through the layers, each attending to itself alone."""
        plan = self._layout(references)
        x = self.adapter(references)
        # rows stand picture after picture and voice after voice, see Batch
        kept = []
        *layers, last = self.block.layers
        for layer in layers:
            x, keys_values = self._run(layer, x, plan, None)
            kept.append(keys_values)
        _, k, v, _ = last.attention.project(x, plan)
        return Memory((*kept, (k, v)), references.lengths)

    def forward(self, batch: Batch, memory: Memory | None = None) -> Prediction:
        """Predictions for the main stream's tokens. memory: what `remember` returned for batch.references."""
        if memory is None and batch.references is not None:
            memory = self.remember(batch.references)
        stream = batch.main
        plan = self._layout(stream, memory, batch.owners)
        x = self.adapter(stream)
        tags = words = None
        for index, layer in enumerate(self.block.layers):
            x, _ = self._run(layer, x, plan, memory.layers[index] if memory else None)
            if index == (self.config.num_layers - 1) // 2:
                tags, words = self._carried(x[: stream.sizes[0]])
        video, audio, _ = x.split(stream.sizes)
        with torch.autocast(x.device.type, enabled=False):  # heads are fp32 (SPEC §1.7)
            return Prediction(
                self.final_linear_video(self.final_norm_video(video)),
                self.final_linear_audio(self.final_norm_audio(audio)),
                tags,
                words,
            )

    def _carried(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """How much of each slot's and of each word's vector rows [N, D] carry, where the model has such."""
        unit = F.rms_norm(x, x.shape[-1:]) / self.config.hidden_size**0.5
        tags = unit @ self.adapter.slot_embedder.weight[1:].T if self.config.num_slots else None
        # nobody asks for it while clips are made
        read = self.config.text_vocab_size is not None and not torch.is_inference_mode_enabled()
        return tags, unit @ self.adapter.text_embedder.weight.T if read else None

    def _layout(self, stream: Stream, memory: Memory | None = None, owners: tuple[int, ...] = ()) -> Layout:
        radius = self.config.frame_receptive_field if self.config.local_attn_layers else -1
        lengths = memory.lengths if memory else ()
        return layout(
            stream, self.adapter.rope.bands, lengths, owners if memory else (), radius, self.attention_backend
        )

    def _run(
        self, layer: Layer, x: Tensor, plan: Layout, memory: KeysValues | None
    ) -> tuple[Tensor, KeysValues]:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, x, plan, memory, use_reentrant=False)
        return layer(x, plan, memory)
