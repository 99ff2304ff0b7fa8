"""LoRA on a frozen transformer, through peft: on all tokens, on all but the words', or on the references' alone.

Imports peft, and with it transformers, so it is imported where it is used.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import torch
from peft.tuners.lora.layer import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from horsekit.transformer import CheckpointError, UnifiedTransformer
from horsekit.transformer.checkpoint import write_safetensors
from horsekit.transformer.layers import ExpertLinear, SharedLinear, Sizes, linear

Scope = Literal["all", "media", "references"]
TARGETS = ("linear_qkv", "linear_proj", "up_gate_proj", "down_proj")
FORMAT = "horsekit-lora"
NAME = "default"
NARROW = {"media": "tokens of pictures and sound alone", "references": "reference tokens alone"}


class TokenLora(nn.Module, LoraLayer):
    """A linear map of the transformer with low-rank updates beside it, one per modality where the map has.

    Adapters go by name, each with its scope; "media": all rows but those of words, so that the words mean what they
    did; "references": rows of a stream without words, as only the stream of references is.
    """

    def __init__(self, base_layer: ExpertLinear | SharedLinear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unsupported layer type")
            LoraLayer.__init__(self, base_layer)
        self.scope: dict[str, Scope] = {}
        self.resting = False

    def add(self, name: str, rank: int, alpha: float, scope: Scope, weight: float) -> None:
        """Put an update beside the map, zero at first; its strength is weight · alpha / rank."""
        experts = getattr(self.base_layer, "experts", 1)
        rows, columns = self.base_layer.weight.shape
        self.scope[name], self.r[name], self.lora_alpha[name] = scope, rank, alpha
        self.scaling[name] = weight * alpha / rank
        self.lora_A[name] = linear(columns, rank, experts, torch.float32)
        self.lora_B[name] = linear(rank, rows // experts, experts, torch.float32)
        self.lora_bias[name] = False
        self.reset_lora_parameters(name, True)
        for update in (self.lora_A[name], self.lora_B[name]):
            update.to(self.base_layer.weight.device)
        self.set_adapter([*self.scope])

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        """x [S, I] with its rows per modality to [S, O]."""
        result = self.base_layer(x, sizes)
        for name in () if self.disable_adapters else self.active_adapters:
            touched = _touched(self.scope[name], sizes)
            rows = sum(touched)
            if rows == 0 or (self.resting and self.scope[name] != "all"):
                continue
            update = self.lora_B[name](self.lora_A[name](x[:rows].float(), touched), touched)
            changed = result[:rows] + (update * self.scaling[name]).to(result.dtype)
            result = torch.cat([changed, result[rows:]])
        return result

    def change(self) -> Tensor:
        """What the updates of all tokens add to the map's weight, of its shape, float32."""
        total = torch.zeros_like(self.base_layer.weight, dtype=torch.float32)
        experts = getattr(self.base_layer, "experts", 1)
        for name in self.scope:
            pairs = zip(
                self.lora_B[name].weight.chunk(experts), self.lora_A[name].weight.chunk(experts), strict=True
            )
            total += self.scaling[name] * torch.cat([b @ a for b, a in pairs])
        return total


def _touched(scope: Scope, sizes: Sizes) -> Sizes:
    """How many rows of each modality an update acts on; those of words come last."""
    video, audio, words = sizes
    if scope == "references" and words > 0:
        return (0, 0, 0)
    return (video, audio, 0) if scope == "media" else sizes


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
    _put_on(model, NAME, rank, alpha, scope, 1.0)


def _put_on(
    model: UnifiedTransformer, name: str, rank: int, alpha: float, scope: Scope, weight: float
) -> None:
    model.requires_grad_(False)
    for path in _targets(model):
        parent, _, child = path.rpartition(".")
        module = model.get_submodule(path)
        if not isinstance(module, TokenLora):
            module = TokenLora(module)
            setattr(model.get_submodule(parent), child, module)
        module.add(name, rank, alpha, scope, weight)


def remove_lora(model: UnifiedTransformer) -> None:
    """Give the model its own linear maps back; the base was never changed."""
    for name in _loras(model):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, model.get_submodule(name).base_layer)


@contextmanager
def resting(model: UnifiedTransformer) -> Iterator[None]:
    """Within, only adapters of all tokens act: the others learn beside references, and here are none."""
    loras = [model.get_submodule(name) for name in _loras(model)]
    for lora in loras:
        lora.resting = True
    try:
        yield
    finally:
        for lora in loras:
            lora.resting = False


def save_adapter(model: UnifiedTransformer, path: Path | str, metadata: dict[str, str]) -> None:
    """Write the adapter that the model carries as one safetensors file; rank, alpha and scope go with it."""
    loras = _loras(model)
    if not loras:
        raise ValueError("the model carries no adapter; add one with add_lora")
    first = model.get_submodule(loras[0])
    if len(first.scope) > 1:
        raise ValueError("the model carries several adapters; each has its own file already")
    about = {
        "format": FORMAT,
        "rank": str(first.r[NAME]),
        "alpha": str(first.lora_alpha[NAME]),
        "scope": first.scope[NAME],
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().contiguous() for key, value in _tensors(model).items()}
    write_safetensors(tensors, path, {**metadata, **about})


def copy_adapter(source: Path | str, path: Path | str, strength: float = 1.0) -> None:
    """Write an adapter into another file, as strong as told: loaded with a weight of 1 it acts as much.

    Errors: CheckpointError for a file that is no adapter.
    """
    about, tensors = read_adapter(source)
    write_safetensors(tensors, Path(path), {**about, "alpha": str(float(about["alpha"]) * strength)})


def load_adapter(model: UnifiedTransformer, path: Path | str, weight: float = 1.0) -> dict[str, str]:
    """Put the adapter in a file on the model, in place of any it carries; returns the file's metadata.

    weight: how strongly it acts, 1 as it was trained.
    Errors: CheckpointError for a file that is no adapter, is damaged, or belongs to another model; the model
    is then as it was.
    """
    return stack_adapters(model, [(path, weight)])[0]


def stack_adapters(
    model: UnifiedTransformer, adapters: Sequence[tuple[Path | str, float]]
) -> list[dict[str, str]]:
    """Put several adapters on the model at once, each with its weight; returns their metadata.

    Their updates add up. Errors: as load_adapter.
    """
    read = [read_adapter(path) for path, _ in adapters]
    for (path, _), (about, tensors) in zip(adapters, read, strict=True):
        _check_fit(model, tensors, int(about["rank"]), path)
    remove_lora(model)
    for number, ((_, weight), (about, tensors)) in enumerate(zip(adapters, read, strict=True)):
        name = NAME if number == 0 else f"{NAME}_{number}"
        _put_on(model, name, int(about["rank"]), float(about["alpha"]), about["scope"], weight)
        with torch.no_grad():
            for key, parameter in _tensors(model, name).items():
                parameter.copy_(tensors[key])
    return [about for about, _ in read]


def merge_lora(model: UnifiedTransformer) -> None:
    """Write what the model's adapters add into its own weights, and take them off.

    Errors: ValueError for a model without an adapter, or one whose adapter acts on some tokens alone, which no
    weight that all tokens share can hold.
    """
    loras = [model.get_submodule(name) for name in _loras(model)]
    if not loras:
        raise ValueError("the model carries no adapter; load one first")
    narrow = [NARROW[scope] for scope in loras[0].scope.values() if scope in NARROW]
    if narrow:
        raise ValueError(
            f"the adapter acts on {narrow[0]} and cannot become part of weights that all tokens share; "
            "keep it beside the model, or train with lora.scope=all"
        )
    with torch.no_grad():
        for lora in loras:
            weight = lora.base_layer.weight
            weight.copy_((weight.float() + lora.change()).to(weight.dtype))
    remove_lora(model)


def read_adapter(path: Path | str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of an adapter's file. Errors: CheckpointError for a file that is none."""
    try:
        with safe_open(path, framework="pt") as stored:
            about = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); give an adapter's file") from error
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no adapter of horsekit: its format is {about.get('format')!r}")
    return about, tensors


def _check_fit(model: UnifiedTransformer, tensors: dict[str, Tensor], rank: int, path: Path | str) -> None:
    wanted = {}
    for name in _targets(model):
        module = model.get_submodule(name)
        base = getattr(module, "base_layer", module)
        wanted[f"{name}.lora_A.weight"] = (rank * getattr(base, "experts", 1), base.weight.shape[1])
        wanted[f"{name}.lora_B.weight"] = (base.weight.shape[0], rank)
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise CheckpointError(
                f"{path} belongs to another model: {key} is {found.get(key)} there, here {wanted.get(key)}"
            )


def _targets(model: nn.Module) -> list[str]:
    """The linear maps that an adapter acts on, whether they carry one or not."""
    return [name for name, _ in model.named_modules() if name.endswith(TARGETS)]


def _loras(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, TokenLora)]


def _tensors(model: nn.Module, adapter: str = NAME) -> dict[str, Tensor]:
    """An adapter's weights by the name they have in a file."""
    return {
        f"{name}.{part}.weight": getattr(model.get_submodule(name), part)[adapter].weight
        for name in _loras(model)
        for part in ("lora_A", "lora_B")
    }
