"""Run by several processes: straight and interrupted runs at each ZeRO stage, their losses as JSON."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import tiny_run
import torch.distributed as dist

from horsekit.dataset.batches import Batches
from horsekit.dataset.sample import Recipe
from horsekit.engine.config import OptimizerConfig, TrainConfig
from horsekit.engine.launch import launch
from horsekit.engine.log import read_log
from horsekit.engine.loop import RunResult, train
from horsekit.flow import Objective
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


def of_this_rank(config: TrainConfig, recipe: Recipe | None = None) -> Batches:
    place = launch()
    batches = tiny_run.batches(config, place.rank, place.world)
    return batches if recipe is None else replace(batches, recipe=recipe)


def rates(result: RunResult) -> list[float]:
    return [record["lr"] for record in read_log(result.folder) if "loss" in record]


def refused(out: Path) -> list[str]:
    """What this rank says of batches of which one alone has pictures, and of previews with ZeRO 3."""
    said = []
    config = tiny_run.configured(out, name="unlike", zero=2)
    batches = of_this_rank(config, Recipe(reference_drop=float(dist.get_rank())))
    watched = tiny_run.configured(
        out, name="watched", zero=2, evaluate_every=2, held_out={"kind": "stage", "path": "nowhere"}
    )
    assert tiny_run.run(
        watched, held_out=of_this_rank(watched, Recipe(reference_drop=float(dist.get_rank())))
    ).complete
    preview = tiny_run.configured(out, name="seen", zero=3, preview_every=1)
    for asked, source in ((config, batches), (preview, of_this_rank(preview))):
        try:
            train(asked, launch(), tiny_run.model(), source, Objective())
        except ValueError as error:
            said.append(str(error))
    return said


def main(out: Path) -> None:
    found = {}
    for zero in range(4):
        watched = {"evaluate_every": 2, "held_out": {"kind": "stage", "path": "nowhere"}}
        config = tiny_run.configured(out, name=f"straight-{zero}", zero=zero, **watched)
        straight = tiny_run.run(config, held_out=of_this_rank(config))
        config = tiny_run.configured(out, name=f"broken-{zero}", zero=zero)
        stopped = tiny_run.run(config, interrupt_at=2)
        resumed = tiny_run.run(config)
        assert (stopped.progress.step, resumed.progress.step) == (3, 6)
        if dist.get_rank() == 0:
            found[zero] = {"straight": outcome(straight), "resumed": outcome(resumed)}
        slower = tiny_run.configured(out, name=f"slower-{zero}", zero=zero)
        tiny_run.run(slower, interrupt_at=2)
        slower = tiny_run.run(slower.model_copy(update={"optimizer": OptimizerConfig(lr=0.001)}))
        if dist.get_rank() == 0:
            found[zero]["rates"] = rates(slower)
    found["refused"] = refused(out)
    if dist.get_rank() == 0:
        (out / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
