"""Which number format a device is fast with."""

import ctypes
import sys

import torch

# of glibc's mallopt
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: on a CPU only with matrix units for it (AMX).

    The vector instructions alone (AVX-512 BF16) do no more products a second than float32's, and the conversions
    come on top.
    """
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


def keep_freed_memory() -> None:
    """Have glibc keep what tensors free: pages asked anew of the system at every step cost a tenth of it."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(MMAP_THRESHOLD, 2**30)
            libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
