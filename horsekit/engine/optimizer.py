"""Optimizers: AdamW, and Muon for the matrices of the layers with AdamW for all else.

n parameters of one shape, E experts stacked in each, O rows and I columns of one map
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.optim.adamw import adamw

from horsekit.engine.config import OptimizerConfig
from horsekit.transformer.precision import fast_bf16

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al., Muon, 2024
NEWTON_SCHULZ_STEPS = 5
MATCH_ADAMW = 0.2  # root mean square of an AdamW update; Moonshot, "Muon is scalable", 2025


def orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest matrices with all singular values near 1, by Newton–Schulz. [n, O, I], all at once."""
    x = matrices.bfloat16() if fast_bf16(matrices.device) else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class MuonAdamW(torch.optim.Optimizer):
    """Muon on groups that carry `experts`, AdamW on the others.

    A group with experts = n holds matrices of n maps stacked along the rows; each map is orthogonalised by
    itself, and a kernel counts as a matrix of its outputs by all else. The scale of the updates matches
    AdamW's, so that both share one range of learning rates.
    """

    def __init__(
        self, groups: Iterable[dict], lr: float, betas: tuple[float, float], momentum: float = 0.95
    ) -> None:
        super().__init__(
            groups, {"lr": lr, "betas": betas, "eps": 1e-8, "momentum": momentum, "weight_decay": 0.0}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if "experts" in group:
                self._muon(parameters, group)
            elif parameters:
                self._adamw(parameters, group)

    def _muon(self, parameters: list[Tensor], group: dict) -> None:
        alike = defaultdict(list)
        for parameter in parameters:
            alike[parameter.shape].append(parameter)
        experts, lr = group["experts"], group["lr"]
        for (rows, *columns), members in alike.items():
            moments = [self._state(p, ("momentum",))["momentum"] for p in members]
            gradients = [p.grad for p in members]
            torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, moments, group["momentum"])
            maps = rearrange(torch.stack(ahead).flatten(2), "n (E O) I -> (n E) O I", E=experts)
            updates = rearrange(orthogonalised(maps), "(n E) O I -> n (E O) I", E=experts)
            torch._foreach_mul_(members, 1 - lr * group["weight_decay"])
            scale = MATCH_ADAMW * max(rows // experts, math.prod(columns)) ** 0.5
            updates = [update.view(rows, *columns) for update in updates]
            torch._foreach_add_(members, updates, alpha=-lr * scale)

    def _adamw(self, parameters: list[Tensor], group: dict) -> None:
        states = [self._state(p, ("exp_avg", "exp_avg_sq")) for p in parameters]
        for state, parameter in zip(states, parameters, strict=True):
            state.setdefault("step", torch.zeros((), device=parameter.device))
        adamw(
            parameters,
            [p.grad for p in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _state(self, parameter: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        state = self.state[parameter]
        for name in names:
            if name not in state:
                state[name] = torch.zeros_like(parameter)
        return state


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of the trainable parameters; every group keeps its full rate as `base_lr`.

    Matrices decay, gains, biases and embeddings do not. Muon takes the matrices inside `model.block`.
    """
    matrices, rest = defaultdict(list), []
    for parameter, experts, inner in _parameters(model):
        (matrices[experts] if inner else rest).append(parameter)
    if config.kind == "adamw":
        decayed = [p for members in matrices.values() for p in members]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        groups = [{**group, "base_lr": config.lr} for group in groups if group["params"]]
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
    rate = config.matrix_lr or config.lr
    groups = [
        {
            "params": members,
            "experts": experts,
            "weight_decay": config.weight_decay,
            "lr": rate,
            "base_lr": rate,
        }
        for experts, members in sorted(matrices.items())
    ]
    groups.append({"params": rest, "base_lr": config.lr})
    return MuonAdamW(groups, config.lr, config.betas)


def _parameters(model: nn.Module) -> Iterator[tuple[Tensor, int, bool]]:
    """Each trainable parameter once, the maps stacked in it, and whether it is a matrix of a layer."""
    for prefix, module in model.named_modules():
        for _, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                inner = prefix.startswith("block.") and parameter.ndim == 2
                yield parameter, getattr(module, "experts", 1), inner
