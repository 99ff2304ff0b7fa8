"""From what a transformer puts out to the velocity.

N tokens, C channels
"""

from torch import Tensor


def to_velocity(predicts: str, output: Tensor, noisy: Tensor, sigma: Tensor | float) -> Tensor:
    """The velocity that an output [N, C] means at noisy tokens [N, C] of level sigma, a number or [N, 1].

    "velocity": the output itself (SPEC §3.1). "residual": what the best linear guess from the token alone,
    v ≈ (2σ − 1)/d · x with d = (1 − σ)² + σ², leaves open, scaled to unit variance: v = guess + output/√d. So
    a narrow model need not carry every token's noise through all its layers to subtract it at the end (the
    preconditioning of arXiv 2206.00364, for straight paths and data of unit variance).
    """
    if predicts == "velocity":
        return output
    spread = (1 - sigma) ** 2 + sigma**2
    return (2 * sigma - 1) / spread * noisy + output.float() / spread**0.5
