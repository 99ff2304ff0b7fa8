"""How tensors' memory is kept."""

import ctypes
import sys

# of glibc's mallopt
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Have glibc keep what tensors free: pages asked anew of the system at every step cost a tenth of it."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(MMAP_THRESHOLD, 2**30)
            libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
