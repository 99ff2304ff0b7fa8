"""From a character's folder to an adapter that ships: `python training/brand_character.py data/characters/fennel`.

Examines the folder, fine-tunes an adapter on it through DeepSpeed, ranks its snapshots, measures the best beside the
base model, and leaves in --out: doctor.html, ranking.json, leakage.json, sheet.png, adapter.safetensors and
comfyui.safetensors. `--rank RUN` ranks the snapshots of a run that is there already, and trains nothing.
"""

import argparse
import shutil
import sys
from pathlib import Path

from tqdm.auto import tqdm

from horsekit import jobs
from horsekit.adapters.export import export_comfyui
from horsekit.character import BrandCharacter
from horsekit.dataset.folder import LATENTS, LatentCache
from horsekit.doctor import examine
from horsekit.engine.config import ROOT
from horsekit.engine.export import ADAPTER
from horsekit.engine.loop import SNAPSHOTS, WEIGHTS
from horsekit.media import contact_sheet
from horsekit.metrics.leakage import panel
from horsekit.metrics.ranking import rank
from horsekit.pipeline import Pipeline
from horsekit.request import Request

COLUMNS, ROWS = 6, 4


def train(options: argparse.Namespace, out: Path, brand: BrandCharacter, size: int) -> Path:
    """Fine-tune, with the run's own progress; the run's folder."""
    folder = brand.folder.resolve()
    settings = [
        f"model={options.model}",
        f"tokenizers={options.model}",
        f"data.path={folder / 'clips'}",
        f"data.references=[{folder / 'references'}]",
        f"data.size={size}",
        f"max_minutes={options.minutes}",
        f"out={out.resolve()}",
        f"snapshots={options.snapshots}",
        "resume=never",
    ]
    job = jobs.start(options.config, [*settings, *options.overrides])
    print(job.wait())
    return job.folder


def snapshots(run: Path) -> dict[str, Path]:
    """The adapters that a run left, by name, the last one as "final". Errors: ValueError where there is none."""
    found = {path.parent.name: path for path in sorted((run / SNAPSHOTS).glob(f"*/{ADAPTER}"))}
    final = run / WEIGHTS / ADAPTER
    if final.is_file():
        found["final"] = final
    if not found:
        raise ValueError(f"{run} holds no adapter; give the folder of a run with mode=lora")
    return found


def sheet(pipeline: Pipeline, adapter: Path, brand: BrandCharacter, steps: int | None):
    """A row for each prompt: the reference, frames without the adapter, the same with it."""
    prompts = [prompt for clip in brand.held_out for prompt in clip.prompts[:1]][:ROWS]
    pictures = brand.pictures()[:3]
    requests = [Request(prompt, [pictures], seed=k) for k, prompt in enumerate(prompts)]
    arms = []
    for stack in ((), (adapter,)):
        pipeline.adapt(*stack)
        with tqdm(desc="sheet", unit="step") as bar:
            arms.append(
                pipeline.generate_many(requests, steps=steps, callback=lambda _, bar=bar: bar.update())
            )
    rows = []
    for before, after in zip(*arms, strict=True):
        last = len(before.frames) - 1
        moments = [last * k // (COLUMNS - 1) for k in range(COLUMNS)]
        rows.append(
            [
                pictures[0].fitted(*pipeline.settings.size),
                *map(before.picture, moments),
                *map(after.picture, moments),
            ]
        )
    return contact_sheet(rows, scale=2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the character: card.yaml, references/, clips/, held_out/")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="over the training config")
    parser.add_argument("--model", default="horse-tiny")
    parser.add_argument("--config", default="configs/train/brand-lora.yaml")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training (default: %(default)s)")
    parser.add_argument("--snapshots", type=int, default=4, help="to choose from (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=12, help="for every figure (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the model's own)")
    parser.add_argument("--out", type=Path, help="default: outputs/NAME")
    parser.add_argument("--rank", type=Path, metavar="RUN", help="rank this run's snapshots; train nothing")
    options = parser.parse_intermixed_args()
    try:
        run(options)
    except ValueError as error:
        print(f"brand_character: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """From the doctor to the export."""
    brand = BrandCharacter.load(options.folder)
    out = options.out or ROOT / "outputs" / brand.folder.name
    pipeline = Pipeline.from_pretrained(options.model)
    finished = options.rank
    if finished is None:
        cache = LatentCache(ROOT / LATENTS, pipeline.tokenizers, pipeline.settings.size[0])
        diagnosis = examine(options.folder, cache)
        print(diagnosis.table())
        diagnosis.save(out / "doctor.html")
        if diagnosis.errors:
            raise ValueError(f"{options.folder} has errors; mend them first, as told above")
        finished = train(options, out, brand, pipeline.settings.size[0])
    adapters = snapshots(finished)
    ranking = rank(pipeline, adapters, brand, options.clips, steps=options.steps)
    print(ranking.table())
    ranking.save(out / "ranking.json")
    best = next(one.name for one in ranking.ranked if one.name in adapters)
    adapter = out / ADAPTER
    shutil.copyfile(adapters[best], adapter)
    # other seeds than those the snapshot was chosen by
    leakage = panel(pipeline, adapter, brand, options.clips, seed=10_000, steps=options.steps)
    print(leakage.table())
    leakage.save(out / "leakage.json")
    sheet(pipeline, adapter, brand, options.steps).save(out / "sheet.png")
    export_comfyui(adapter, out / "comfyui.safetensors")
    print(*sorted(str(path) for path in out.iterdir() if path.is_file()), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
