"""The names of Wan2.2's original file, told in those of diffusers.

The original nests each stage: `encoder.downsamples.I.downsamples.J` is residual block J of stage I or, after
the last of them, its resampler; single-file loaders know the flat names of Wan2.1 alone.
"""

import re
from collections.abc import Mapping

from torch import Tensor

RESIDUAL = {"residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2"}
RESIDUAL["shortcut"] = "conv_shortcut"
ENDS = {
    "conv1": "quant_conv",
    "conv2": "post_quant_conv",
    "encoder.conv1": "encoder.conv_in",
    "decoder.conv1": "decoder.conv_in",
    "encoder.head.0": "encoder.norm_out",
    "decoder.head.0": "decoder.norm_out",
    "encoder.head.2": "encoder.conv_out",
    "decoder.head.2": "decoder.conv_out",
}
STAGE = re.compile(r"(encoder|decoder)\.(down|up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.+)")
MIDDLE = re.compile(r"(encoder|decoder)\.middle\.([012])\.(.+)")


def is_original(names: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of the original file."""
    return "decoder.middle.0.residual.0.gamma" in names


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names of `AutoencoderKLWan(is_residual=True)`.

    Errors: ValueError naming a tensor that is not of Wan2.2.
    """
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    module, _, leaf = name.rpartition(".")
    if module in ENDS:
        return f"{ENDS[module]}.{leaf}"
    if found := STAGE.fullmatch(module):
        half, way, stage, number, rest = found.groups()
        if rest in RESIDUAL:
            return f"{half}.{way}_blocks.{stage}.resnets.{number}.{RESIDUAL[rest]}.{leaf}"
        return f"{half}.{way}_blocks.{stage}.{way}sampler.{rest}.{leaf}"
    if found := MIDDLE.fullmatch(module):
        half, number, rest = found.groups()
        if number == "1":
            return f"{half}.mid_block.attentions.0.{rest}.{leaf}"
        if rest in RESIDUAL:
            return f"{half}.mid_block.resnets.{int(number) // 2}.{RESIDUAL[rest]}.{leaf}"
    raise ValueError(f"{name} is no tensor of Wan2.2's VAE; use Wan2.2_VAE.pth of Wan-AI/Wan2.2-TI2V-5B")
