"""A brand character's way from its folder to an adapter that ships, a step at a time."""

from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from horsekit import jobs
from horsekit.character import BrandCharacter
from horsekit.dataset.folder import LATENTS, LatentCache
from horsekit.doctor import Diagnosis, examine
from horsekit.engine.config import ROOT
from horsekit.media import Picture, contact_sheet
from horsekit.metrics.leakage import PICTURES
from horsekit.pipeline import Pipeline
from horsekit.request import Request

CONFIG = "configs/train/brand-lora.yaml"
COLUMNS, ROWS = 6, 4  # frames of a clip and clips on the sheet


def diagnose(pipeline: Pipeline, brands: Sequence[BrandCharacter]) -> list[Diagnosis]:
    """Every character's folder as the model will see it, and what is wrong with it."""
    cache = LatentCache(ROOT / LATENTS, pipeline.tokenizers, pipeline.settings.size[0])
    return [examine(brand.folder, cache) for brand in brands]


def finetune(
    pipeline: Pipeline,
    brands: Sequence[BrandCharacter],
    out: Path | str,
    minutes: float,
    overrides: Sequence[str] = (),
    config: str = CONFIG,
) -> jobs.Job:
    """Start to train one adapter on all of the characters, anew, in a process of its own.

    The run lies in `out`, under its config's name; overrides: key=value over the config. Errors: as jobs.start.
    """
    folders = ", ".join(str(brand.folder.resolve()) for brand in brands)
    settings = (
        f"model={pipeline.name}",
        f"tokenizers={pipeline.name}",
        f"data.characters=[{folders}]",
        f"data.size={pipeline.settings.size[0]}",
        f"max_minutes={minutes}",
        f"out={Path(out).resolve()}",
        "resume=never",
    )
    return jobs.start(config, [*settings, *overrides])


def requests_for(brand: BrandCharacter, count: int) -> list[Request]:
    """Clips of the character to ask for, by the prompts of its held-out clips in turn, each with its own seed.

    Errors: ValueError where it has none and no regression prompts.
    """
    prompts, pictures = brand.prompts, brand.pictures()[:PICTURES]
    if not prompts:
        raise ValueError(f"{brand.name} has no prompts; add held-out clips or regression_prompts")
    return [
        Request(prompts[k % len(prompts)], [pictures], seed=k, voices=[brand.voice]) for k in range(count)
    ]


def sheet(
    pipeline: Pipeline, adapter: Path | str, brand: BrandCharacter, steps: int | None = None
) -> Picture:
    """A row for each prompt: the reference, frames without the adapter, the same with it, which stays on."""
    asked, arms = requests_for(brand, ROWS), []
    for stack in ((), (adapter,)):
        pipeline.adapt(*stack)
        with tqdm(desc="sheet", unit="step") as bar:
            arms.append(pipeline.generate_many(asked, steps=steps, callback=lambda _, bar=bar: bar.update()))
    rows = []
    for request, before, after in zip(asked, *arms, strict=True):
        last = len(before.frames) - 1
        moments = [last * k // (COLUMNS - 1) for k in range(COLUMNS)]
        reference = request.references[0][0].fitted(*pipeline.settings.size)
        rows.append([reference, *map(before.picture, moments), *map(after.picture, moments)])
    return contact_sheet(rows, scale=2)
