"""Run by several processes: straight and interrupted runs at each ZeRO stage, their losses as JSON."""

import json
import sys
from pathlib import Path

import tiny_run
import torch.distributed as dist

from horsekit.engine.log import read_log
from horsekit.engine.loop import RunResult
from horsekit.transformer import load_transformer


def outcome(result: RunResult) -> dict:
    records = [record for record in read_log(result.folder) if "loss" in record]
    weights = load_transformer(result.weights).state_dict()
    return {
        "losses": [record["loss"] for record in records],
        "norms": [record["grad_norm"] for record in records],
        "weights": sum(weight.double().square().sum().item() for weight in weights.values()),
        "samples": result.progress.samples,
    }


def main(out: Path) -> None:
    found = {}
    for zero in range(4):
        straight = tiny_run.run(tiny_run.configured(out, name=f"straight-{zero}", zero=zero))
        config = tiny_run.configured(out, name=f"broken-{zero}", zero=zero)
        stopped = tiny_run.run(config, interrupt_at=2)
        resumed = tiny_run.run(config)
        assert (stopped.progress.step, resumed.progress.step) == (3, 6)
        if dist.get_rank() == 0:
            found[zero] = {"straight": outcome(straight), "resumed": outcome(resumed)}
    if dist.get_rank() == 0:
        (out / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
