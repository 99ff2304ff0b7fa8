"""Which number format a device is fast with."""

from functools import cache
from pathlib import Path

import torch


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: on a CPU with matrix units for it (AMX), or with AMD's vector units.

    AVX-512 BF16 does twice the products of float32 an instruction, but Intel's cores issue half as many of them a
    cycle, and the conversions come on top. Told by the kind of the processor and not by a stopwatch, since all ranks
    must agree on it.
    """
    if device.type == "cuda" or torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and made_by() == "AuthenticAMD"


@cache
def made_by() -> str:
    """The vendor of the processor as Linux reports it, or nothing."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")
