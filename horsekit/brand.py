"""A brand character's way from its folder to an adapter that ships, a step at a time."""

import json
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from horsekit import jobs
from horsekit.character import HELD_OUT, METADATA, BrandCharacter
from horsekit.dataset.folder import LATENTS, LatentCache
from horsekit.doctor import Diagnosis, examine
from horsekit.engine.config import ROOT
from horsekit.media import Picture, contact_sheet
from horsekit.metrics.identity import point
from horsekit.metrics.leakage import PICTURES
from horsekit.pipeline import CARD, Pipeline
from horsekit.prompt import PromptError, mentions
from horsekit.request import Request

CONFIG = "configs/train/brand-lora.yaml"
COLUMNS, ROWS = 6, 4  # frames of a clip and clips on the sheet
PREVIEW_EVERY = 150  # steps


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

    The run lies in `out`, under its config's name, and previews of it in its previews/; overrides: key=value over the
    config. Errors: as check_measurable, and as jobs.start.
    """
    check_measurable(pipeline, brands)
    folders = [str(brand.folder.resolve()) for brand in brands]
    model = pipeline.name
    if (Path(model) / CARD).is_file():  # a folder, and no name of what ships
        model = str(Path(model).resolve())
    settings = (
        f"model={_yaml(model)}",
        f"tokenizers={_yaml(model)}",
        f"data.characters={_yaml(folders)}",
        f"data.size={pipeline.settings.size[0]}",
        f"max_minutes={minutes}",
        f"out={_yaml(str(Path(out).resolve()))}",
        "resume=never",
        f"preview_every={PREVIEW_EVERY}",
    )
    return jobs.start(config, [*settings, *overrides])


def _yaml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def check_measurable(pipeline: Pipeline, brands: Sequence[BrandCharacter]) -> None:
    """Find out before the training that what it brings could not be measured after it.

    Errors: ValueError naming the character, what of it cannot be used, and the remedy.
    """
    for brand in brands:
        try:
            point(brand.pictures())
            if brand.kept_back:
                point([clip.open() for clip in brand.kept_back])
        except ValueError as error:
            raise ValueError(
                f"{brand.name}: {error}; horsekit's own reader knows rendered characters alone, so train on others "
                f"with training/train.py {CONFIG}, and measure them with horsekit.metrics.networks"
            ) from error
        beside = [other for other in brands if other is not brand]
        try:
            count = len(brand.prompts_for(Request.seconds))
            asked = [*requests_for(brand, count), *regression_requests(brand, beside)]
        except PromptError as error:
            raise ValueError(f"{brand.name}: {error}; mend it in {brand.folder}") from error
        for request in asked:
            try:
                pipeline.check(request)
            except ValueError as error:
                raise ValueError(
                    f"{brand.name} is to be shown by {request.prompt!r}, but {error}. Its prompts are those of "
                    f"{HELD_OUT}/{METADATA} and the card's regression_prompts"
                ) from error


def requests_for(brand: BrandCharacter, count: int) -> list[Request]:
    """Clips of the character to ask for, by the prompts of its held-out clips in turn, each with its own seed.

    Errors: ValueError where it has none and no regression prompts.
    """
    prompts, pictures = brand.prompts_for(Request.seconds), brand.pictures()[:PICTURES]
    if not prompts:
        raise ValueError(f"{brand.name} has no prompts; add held-out clips or regression_prompts")
    return [
        Request(prompts[k % len(prompts)], [pictures], seed=k, voices=[brand.voice]) for k in range(count)
    ]


def regression_requests(brand: BrandCharacter, beside: Sequence[BrandCharacter] = ()) -> list[Request]:
    """Clips by the card's regression prompts, those of its held-out clips where it has none.

    beside: who is [Image 2], [Image 3], ...; prompts that mention more characters than there are stay out.
    """
    cast = [brand, *beside]
    prompts = [p for p in brand.card.regression_prompts if max(mentions(p), default=1) <= len(cast)]
    requests = []
    for seed, prompt in enumerate(prompts):
        seen = cast[: max(mentions(prompt), default=1)]
        pictures, voices = [one.pictures()[:PICTURES] for one in seen], [one.voice for one in seen]
        requests.append(Request(prompt, pictures, seed=seed, voices=voices))
    return requests or requests_for(brand, ROWS)


def sheet(
    pipeline: Pipeline,
    adapter: Path | str,
    brand: BrandCharacter,
    steps: int | None = None,
    beside: Sequence[BrandCharacter] = (),
) -> Picture:
    """A row for each regression prompt: the reference, frames without the adapter, the same with it, which stays on."""
    asked, arms = regression_requests(brand, beside), []
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
