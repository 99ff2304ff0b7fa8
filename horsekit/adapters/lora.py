"""LoRA on a frozen transformer, through peft: on all tokens, or on those of the references alone.

Imports peft, and with it transformers, so it is imported where it is used.
"""

import warnings
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora.layer import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from horsekit.transformer import CheckpointError, UnifiedTransformer
from horsekit.transformer.checkpoint import write_safetensors
from horsekit.transformer.layers import ExpertLinear, SharedLinear, Sizes, linear

Scope = Literal["all", "references"]
TARGETS = ("linear_qkv", "linear_proj", "up_gate_proj", "down_proj")
FORMAT = "horsekit-lora"
NAME = "default"


class TokenLora(nn.Module, LoraLayer):
    """A linear map of the transformer with a low-rank update beside it, one per modality where the map has.

    scope "references": rows of a stream that holds video alone, as only the stream of references does.
    """

    def __init__(
        self,
        base_layer: ExpertLinear | SharedLinear,
        adapter_name: str,
        config: LoraConfig,
        r: int,
        lora_alpha: float,
        scope: Scope,
        **_: object,
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unsupported layer type")
            LoraLayer.__init__(self, base_layer)
        self.scope = scope
        self._active_adapter = adapter_name
        experts = getattr(base_layer, "experts", 1)
        rows, columns = base_layer.weight.shape
        self.r[adapter_name], self.lora_alpha[adapter_name] = r, lora_alpha
        self.scaling[adapter_name] = lora_alpha / r
        self.lora_A[adapter_name] = linear(columns, r, experts, torch.float32)
        self.lora_B[adapter_name] = linear(r, rows // experts, experts, torch.float32)
        self.lora_bias[adapter_name] = False
        self.reset_lora_parameters(adapter_name, config.init_lora_weights)
        self.set_adapter(self.active_adapters)

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        """x [S, I] with its rows per modality to [S, O]."""
        result = self.base_layer(x, sizes)
        if self.disable_adapters or (self.scope == "references" and sizes[1] + sizes[2] > 0):
            return result
        for name in self.active_adapters:
            update = self.lora_B[name](self.lora_A[name](x.float(), sizes), sizes)
            result = result + (update * self.scaling[name]).to(result.dtype)
        return result


def add_lora(model: UnifiedTransformer, rank: int, alpha: float, scope: Scope) -> None:
    """Freeze the model and put an update, zero at first, beside every linear map of its layers.

    Errors: ValueError for a rank below 1, an unknown scope, or a model that carries an adapter already.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}; use at least 1")
    if scope not in get_args(Scope):
        raise ValueError(f"scope is {scope!r}; use one of {get_args(Scope)}")
    if _loras(model):
        raise ValueError("the model carries an adapter already; take it off with remove_lora first")
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(TARGETS))
    lora = partial(TokenLora, scope=scope)
    config._register_custom_module({ExpertLinear: lora, SharedLinear: lora})
    inject_adapter_in_model(config, model, adapter_name=NAME)


def remove_lora(model: UnifiedTransformer) -> None:
    """Give the model its own linear maps back; the base was never changed."""
    for name in _loras(model):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, model.get_submodule(name).base_layer)


def save_adapter(model: UnifiedTransformer, path: Path | str, metadata: dict[str, str]) -> None:
    """Write the adapter that the model carries as one safetensors file; rank, alpha and scope go with it."""
    loras = _loras(model)
    if not loras:
        raise ValueError("the model carries no adapter; add one with add_lora")
    first = model.get_submodule(loras[0])
    about = {
        "format": FORMAT,
        "rank": str(first.r[NAME]),
        "alpha": str(first.lora_alpha[NAME]),
        "scope": first.scope,
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().contiguous() for key, value in _tensors(model).items()}
    write_safetensors(tensors, path, {**metadata, **about})


def load_adapter(model: UnifiedTransformer, path: Path | str) -> dict[str, str]:
    """Put the adapter in a file on the model, in place of any it carries; returns the file's metadata.

    Errors: CheckpointError for a file that is no adapter, is damaged, or belongs to another model; the model
    is then as it was.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            about = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); give an adapter's file") from error
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no adapter of horsekit: its format is {about.get('format')!r}")
    _check_fit(model, tensors, int(about["rank"]), path)
    remove_lora(model)
    add_lora(model, int(about["rank"]), float(about["alpha"]), about["scope"])
    with torch.no_grad():
        for key, parameter in _tensors(model).items():
            parameter.copy_(tensors[key])
    return about


def _check_fit(model: UnifiedTransformer, tensors: dict[str, Tensor], rank: int, path: Path | str) -> None:
    wanted = {}
    for name, module in model.named_modules():
        if name.endswith(TARGETS):
            base = getattr(module, "base_layer", module)
            experts = getattr(base, "experts", 1)
            wanted[f"{name}.lora_A.weight"] = (rank * experts, base.weight.shape[1])
            wanted[f"{name}.lora_B.weight"] = (base.weight.shape[0], rank)
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise CheckpointError(
                f"{path} belongs to another model: {key} is {found.get(key)} there, here {wanted.get(key)}"
            )


def _loras(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, TokenLora)]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's weights by the name they have in a file."""
    return {
        f"{name}.{part}.weight": getattr(model.get_submodule(name), part)[NAME].weight
        for name in _loras(model)
        for part in ("lora_A", "lora_B")
    }
