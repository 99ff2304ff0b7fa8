"""Muon turns every gradient into a rotation of one size; AdamW is torch's own."""

import pytest
import tiny_run
import torch

from horsekit.engine.config import OptimizerConfig
from horsekit.engine.optimizer import MuonAdamW, build_optimizer, orthogonalised


def test_orthogonalised_matrices_have_singular_values_near_one_and_keep_their_directions():
    matrices = torch.randn(3, 24, 10, generator=torch.Generator().manual_seed(0))
    found = orthogonalised(matrices)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inner = left.mT @ found @ right.mT
    off_diagonal = inner - torch.diag_embed(torch.diagonal(inner, dim1=1, dim2=2))
    assert off_diagonal.abs().max() < 0.03  # the products are bfloat16 where that is fast
    torch.testing.assert_close(orthogonalised(matrices.mT), found.mT)


def test_stacked_experts_are_orthogonalised_one_by_one():
    parts = [torch.randn(8, 6, generator=torch.Generator().manual_seed(k)) * 10**k for k in range(3)]
    stacked = torch.nn.Parameter(torch.zeros(24, 6))
    alone = [torch.nn.Parameter(torch.zeros(8, 6)) for _ in parts]
    stacked.grad = torch.cat(parts)
    for parameter, gradient in zip(alone, parts, strict=True):
        parameter.grad = gradient
    for parameters, experts in (([stacked], 3), (alone, 1)):
        MuonAdamW([{"params": parameters, "experts": experts}], 0.1, (0.9, 0.95)).step()
    torch.testing.assert_close(stacked.detach(), torch.cat([p.detach() for p in alone]))


def test_a_kernel_is_a_matrix_of_its_outputs_by_all_else():
    gradient = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    kernel = torch.nn.Parameter(torch.zeros(8, 4, 3, 3))
    matrix = torch.nn.Parameter(torch.zeros(8, 36))
    kernel.grad, matrix.grad = gradient, gradient.flatten(1)
    for parameter in (kernel, matrix):
        MuonAdamW([{"params": [parameter], "experts": 1}], 0.1, (0.9, 0.95)).step()
    torch.testing.assert_close(kernel.detach().flatten(1), matrix.detach())


def test_the_size_of_an_update_does_not_depend_on_the_size_of_the_gradient():
    sizes = []
    for scale in (1e-4, 1e4):
        weight = torch.nn.Parameter(torch.zeros(32, 32))
        weight.grad = scale * torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
        MuonAdamW([{"params": [weight], "experts": 1}], 0.01, (0.9, 0.95)).step()
        sizes.append(weight.detach().square().mean().sqrt().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-3)
    assert sizes[0] == pytest.approx(0.2 * 0.01, rel=0.25)  # as AdamW's would be


def test_what_is_not_a_matrix_of_a_layer_follows_adamw_exactly():
    model, twin = tiny_run.model(), tiny_run.model()
    config = OptimizerConfig(kind="muon", lr=1e-2, weight_decay=0.1)
    optimizer = build_optimizer(model, config)
    outside = {
        name for name, p in model.named_parameters() if not (name.startswith("block.") and p.ndim == 2)
    }
    rest = [p for name, p in twin.named_parameters() if name in outside]
    reference = torch.optim.AdamW(rest, lr=1e-2, betas=config.betas, weight_decay=0.0)
    for seed in range(3):
        for of in (model, twin):
            source = torch.Generator().manual_seed(seed)
            for parameter in of.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=source)
        optimizer.step()
        reference.step()
    ours = dict(model.named_parameters())
    for name, parameter in twin.named_parameters():
        if name in outside:
            torch.testing.assert_close(ours[name], parameter)
        else:
            assert not torch.equal(ours[name], parameter)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_every_trainable_parameter_is_optimized_once_and_only_matrices_decay(kind):
    model = tiny_run.model()
    model.final_norm_video.weight.requires_grad_(False)
    groups = build_optimizer(model, OptimizerConfig(kind=kind, weight_decay=0.1)).param_groups
    seen = [p for group in groups for p in group["params"]]
    assert len(seen) == len(set(seen))
    assert set(seen) == {p for p in model.parameters() if p.requires_grad}
    decayed = {p for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {p for name, p in model.named_parameters() if name.startswith("block.") and p.ndim == 2}
