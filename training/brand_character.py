"""From characters' folders to an adapter that ships: `python training/brand_character.py data/characters/fennel`.

Examines each folder, fine-tunes one adapter on all of them through DeepSpeed, ranks its snapshots, measures the best
beside the base model, and leaves in --out: ranking.json, adapter.safetensors, comfyui.safetensors, and of each
character doctor-NAME.html, leakage-NAME.json and sheet-NAME.png. `--run RUN` goes on from a run that is there already,
and trains nothing.
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
from horsekit.engine.export import ADAPTER, adapters_of
from horsekit.media import contact_sheet
from horsekit.metrics.leakage import panel
from horsekit.metrics.ranking import rank
from horsekit.pipeline import Pipeline
from horsekit.request import Request

COLUMNS, ROWS = 6, 4


def train(options: argparse.Namespace, out: Path, brands: list[BrandCharacter], size: int) -> Path:
    """Fine-tune, with the run's own progress; the run's folder."""
    folders = ", ".join(str(brand.folder.resolve()) for brand in brands)
    settings = [
        f"model={options.model}",
        f"tokenizers={options.model}",
        f"data.characters=[{folders}]",
        f"data.size={size}",
        f"max_minutes={options.minutes}",
        f"out={out.resolve()}",
        f"snapshots={options.snapshots}",
        "resume=never",
    ]
    job = jobs.start(options.config, [*settings, *options.overrides])
    print(job.wait())
    return job.folder


def sheet(pipeline: Pipeline, adapter: Path, brand: BrandCharacter, steps: int | None):
    """A row for each prompt: the reference, frames without the adapter, the same with it."""
    prompts = [prompt for clip in brand.held_out for prompt in clip.prompts[:1]][:ROWS]
    pictures = brand.pictures()[:3]
    requests = [Request(prompt, [pictures], seed=k, voices=[brand.voice]) for k, prompt in enumerate(prompts)]
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
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="a character: card.yaml, references/, clips/, held_out/"
    )
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="key=value", dest="overrides", help="over the training config"
    )
    parser.add_argument("--model", default="horse-tiny")
    parser.add_argument("--config", default="configs/train/brand-lora.yaml")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training (default: %(default)s)")
    parser.add_argument("--snapshots", type=int, default=4, help="to choose from (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=12, help="for every figure (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the model's own)")
    parser.add_argument("--out", type=Path, help="default: outputs/NAME")
    parser.add_argument("--run", type=Path, help="go on from the snapshots of this run; train nothing")
    options = parser.parse_args()
    try:
        run(options)
    except ValueError as error:
        print(f"brand_character: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """From the doctor to the export."""
    brands = [BrandCharacter.load(folder) for folder in options.folders]
    out = options.out or ROOT / "outputs" / "-".join(brand.folder.name for brand in brands)
    pipeline = Pipeline.from_pretrained(options.model)
    finished = options.run
    if finished is None:
        diagnose(brands, pipeline, out)
        finished = train(options, out, brands, pipeline.settings.size[0])
    adapters = adapters_of(finished)
    ranking = rank(pipeline, adapters, brands, options.clips, steps=options.steps)
    print(ranking.table())
    ranking.save(out / "ranking.json")
    best = next(one.name for one in ranking.ranked if one.name in adapters)
    adapter = out / ADAPTER
    shutil.copyfile(adapters[best], adapter)
    for brand in brands:
        beside = [other for other in brands if other is not brand]
        # other seeds than those the snapshot was chosen by
        leakage = panel(pipeline, adapter, brand, options.clips, 10_000, options.steps, beside)
        print(f"\n{brand.name}", leakage.table(), sep="\n")
        leakage.save(out / f"leakage-{brand.folder.name}.json")
        sheet(pipeline, adapter, brand, options.steps).save(out / f"sheet-{brand.folder.name}.png")
    export_comfyui(adapter, out / "comfyui.safetensors")
    print(*sorted(str(path) for path in out.iterdir() if path.is_file()), sep="\n")


def diagnose(brands: list[BrandCharacter], pipeline: Pipeline, out: Path) -> None:
    """Examine every folder. Errors: ValueError for one that cannot be used as it is."""
    cache = LatentCache(ROOT / LATENTS, pipeline.tokenizers, pipeline.settings.size[0])
    for brand in brands:
        diagnosis = examine(brand.folder, cache)
        print(diagnosis.table())
        diagnosis.save(out / f"doctor-{brand.folder.name}.html")
        if diagnosis.errors:
            raise ValueError(f"{brand.folder} has errors; mend them first, as told above")


if __name__ == "__main__":
    sys.exit(main())
