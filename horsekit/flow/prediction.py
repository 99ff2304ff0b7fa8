"""From what a transformer puts out to the velocity.

N tokens, C channels
"""

from torch import Tensor


def to_velocity(
    predicts: str, output: Tensor, noisy: Tensor, sigma: Tensor | float, spread: Tensor | float = 1.0
) -> Tensor:
    """The velocity that an output [N, C] means at noisy tokens [N, C] of level sigma, a number or [N, 1].

    spread: the data's deviation s, a number or [C]. "velocity": the output itself (SPEC §3.1). "residual": what
    the best linear guess from the token alone, v ≈ (σ − (1 − σ)s²)/d · x with d = (1 − σ)²s² + σ², leaves
    open, scaled to unit variance: v = guess + output·s/√d. So a narrow model need not carry every token's
    noise through all its layers to subtract it at the end (the preconditioning of arXiv 2206.00364, for
    straight paths).
    """
    if predicts == "velocity":
        return output
    spread = spread.to(noisy) if isinstance(spread, Tensor) else spread
    power = spread**2
    total = (1 - sigma) ** 2 * power + sigma**2
    return (sigma - (1 - sigma) * power) / total * noisy + output.float() * spread / total**0.5
