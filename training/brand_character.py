"""From characters' folders to an adapter that ships: `python training/brand_character.py data/characters/fennel`.

Examines each folder, fine-tunes one adapter on all of them through DeepSpeed, ranks its snapshots, measures the best
beside the base model, and leaves in --out: the run with its previews, curve.png, ranking.json, adapter.safetensors,
comfyui.safetensors, and of each character doctor-NAME.html, leakage-NAME.json and sheet-NAME.png. `--run RUN` goes on
from a run that is there already, and trains nothing.
"""

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from horsekit.adapters.export import export_comfyui
from horsekit.adapters.lora import copy_adapter
from horsekit.brand import CONFIG, diagnose, finetune, sheet
from horsekit.character import BrandCharacter
from horsekit.engine import plot_curve
from horsekit.engine.config import ROOT
from horsekit.engine.export import ADAPTER, adapters_of
from horsekit.metrics.leakage import panel
from horsekit.metrics.ranking import rank
from horsekit.pipeline import Pipeline


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
    parser.add_argument("--config", default=CONFIG)
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
        examine(pipeline, brands, out)
        settings = [f"snapshots={options.snapshots}", *options.overrides]
        job = finetune(pipeline, brands, out, options.minutes, settings, options.config)
        print(job.wait())
        finished = job.folder
    adapters = adapters_of(finished)
    with suppress(ValueError):  # so short a run that no loss was logged
        print(plot_curve(finished, out / "curve.png"))
    ranking = rank(pipeline, adapters, brands, options.clips, steps=options.steps)
    print(ranking.table())
    ranking.save(out / "ranking.json")
    adapter = out / ADAPTER
    path, strength = adapters[ranking.best]
    copy_adapter(path, adapter, strength)
    for brand in brands:
        beside = [other for other in brands if other is not brand]
        # other seeds than those the snapshot was chosen by
        leakage = panel(pipeline, adapter, brand, options.clips, 10_000, options.steps, beside)
        print(f"\n{brand.name}", leakage.table(), sep="\n")
        leakage.save(out / f"leakage-{brand.folder.name}.json")
        shown = sheet(pipeline, adapter, brand, options.steps, beside)
        shown.save(out / f"sheet-{brand.folder.name}.png")
    export_comfyui(adapter, out / "comfyui.safetensors")
    print(*sorted(str(path) for path in out.iterdir() if path.is_file()), sep="\n")


def examine(pipeline: Pipeline, brands: list[BrandCharacter], out: Path) -> None:
    """The doctor's word on every folder. Errors: ValueError for one that cannot be used as it is."""
    for brand, diagnosis in zip(brands, diagnose(pipeline, brands), strict=True):
        print(diagnosis.table())
        diagnosis.save(out / f"doctor-{brand.folder.name}.html")
        if diagnosis.errors:
            raise ValueError(f"{brand.folder} has errors; mend them first, as told above")


if __name__ == "__main__":
    sys.exit(main())
