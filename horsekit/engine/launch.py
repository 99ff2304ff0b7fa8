"""From a started process to a place among the processes that train together."""

import logging
import os
import warnings
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import torch
import torch.distributed as dist

# others wait at a barrier while the first renders a cache or writes weights; torch would give up after 10 to 30 minutes
PATIENCE = timedelta(days=1)
SHARED_MEMORY_OP = "deepspeed_shm_comm"


@dataclass(frozen=True)
class Place:
    """Which of `world` processes this is, and the device it trains on."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files and the log."""
        return self.rank == 0


def launch() -> Place:
    """Join the processes that `deepspeed` or `torchrun` started, or be the only one.

    On CPUs DeepSpeed would compile a shared-memory op at its first start, for about a minute and with a C++
    compiler. Only its tensor-parallel inference uses that op; training talks through gloo and starts at once.
    """
    on_gpu = torch.cuda.is_available()
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if on_gpu else "cpu")
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # of the names by which DeepSpeed calls torch
    warnings.filterwarnings("ignore", message="`torch.distributed", category=FutureWarning)
    local_rank = int(os.environ.setdefault("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    backend = "nccl" if on_gpu else "gloo"
    if not dist.is_initialized():
        if "RANK" in os.environ:
            dist.init_process_group(backend, timeout=PATIENCE)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    place = Place(dist.get_rank(), dist.get_world_size(), device)
    if place.world > 1 and not on_gpu and "OMP_NUM_THREADS" not in os.environ:
        local_world = int(os.environ.get("LOCAL_WORLD_SIZE", place.world))
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local_world))
    _join_deepspeed(backend, on_gpu, local_rank)
    return place


def _join_deepspeed(backend: str, on_gpu: bool, local_rank: int) -> None:
    import deepspeed
    from torch.utils.cpp_extension import _get_build_directory

    if not on_gpu:
        if local_rank == 0:
            remove_stale_lock(Path(_get_build_directory(SHARED_MEMORY_OP, verbose=False)) / "lock")
        # the ops that DeepSpeed may compile; even to find them out it would compile test programs
        deepspeed.ops.__compatible_ops__ = {}
    deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False)


def remove_stale_lock(lock: Path) -> bool:
    """Remove the lock of a killed DeepSpeed build; whoever builds next would wait on it for ever.

    A build that goes on holds its lock open; then nothing is done. Returns whether a lock was removed.
    """
    if not lock.exists() or any(_holds(process, lock) for process in psutil.process_iter()):
        return False
    print(f"removing {lock}, left behind by a build that was killed", flush=True)
    lock.unlink(missing_ok=True)
    return True


def _holds(process: psutil.Process, file: Path) -> bool:
    try:
        return any(Path(opened.path) == file for opened in process.open_files())
    except (psutil.Error, OSError):
        return False
