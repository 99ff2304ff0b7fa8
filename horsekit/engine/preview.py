"""What a run has learned so far, as clips: the same requests at every preview, to be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from horsekit.character import read_clips
from horsekit.dataset.stage import StagePlan, draw
from horsekit.engine.assemble import sources
from horsekit.engine.config import ROOT, DataConfig
from horsekit.excerpt import excerpt
from horsekit.media import Clip, Picture, contact_sheet
from horsekit.pipeline import CARD, Pipeline, Settings
from horsekit.request import Request, open_canvas
from horsekit.tokenizers import Tokenizers
from horsekit.transformer import UnifiedTransformer

CLIPS, COLUMNS, STEPS = 3, 6, 12


class Previewer:
    """Generates the requests with the model as it stands: a contact sheet of all, and each as an mp4.

    Those of which no clip can be made are named and left out. about: what each mp4 says besides its prompt.
    """

    def __init__(
        self,
        tokenizers: Tokenizers,
        settings: Settings,
        requests: Sequence[Request],
        about: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.tokenizers, self.settings, self.about = tokenizers, settings, about
        self.requests = tuple(request for request in requests if self._can_be_made(request))

    def _can_be_made(self, request: Request) -> bool:
        settings = self.settings
        try:
            open_canvas(request, self.tokenizers, settings.size, settings.max_seconds, settings.languages)
        except ValueError as error:
            print(f"no preview of {request.prompt!r}: {error}")
            return False
        return True

    def __call__(self, model: UnifiedTransformer, step: int, folder: Path) -> None:
        if not self.requests:
            return
        clips = Pipeline(model, self.tokenizers, self.settings).generate_many(self.requests, steps=STEPS)
        rows = [_row(request, clip) for request, clip in zip(self.requests, clips, strict=True)]
        folder.mkdir(parents=True, exist_ok=True)
        contact_sheet(rows, scale=2).save(folder / f"step-{step:08d}.png")
        for index, (request, clip) in enumerate(zip(self.requests, clips, strict=True)):
            about = {"prompt": request.prompt, "step": str(step), **self.about}
            clip.save(folder / f"step-{step:08d}-{index}.mp4", metadata=about)


def preview_settings(data: DataConfig, folder: Path) -> Settings:
    """The sampler values of the model in a folder, where it has any, for clips of the data's size and length."""
    card = folder / CARD
    settings = Settings.open(card) if card.is_file() else Settings()
    longest = max(data.seconds, settings.max_seconds)
    return replace(settings, size=(data.size, data.size), max_seconds=longest)


def preview_requests(data: DataConfig, tokenizers: Path) -> list[Request]:
    """The first prompts of each folder, or scripts of the stage, each with what its characters are known by."""
    if data.kind == "stage":
        return _stage_requests(data, tokenizers)
    found = sources(data)
    requests = []
    for source in found:
        for entry in list(read_clips(source.clips))[: -(-CLIPS // len(found))]:
            pictures = [Picture.open(path) for path in source.looks.get(entry.look, source.pictures)]
            known = {"references": [pictures], "voices": [source.voice]} if pictures else {}
            prompt = excerpt(entry.prompts[0], 0.0, data.seconds)
            requests.append(Request(prompt, seconds=data.seconds, seed=len(requests), **known))
    return requests


def _stage_requests(data: DataConfig, tokenizers: Path) -> list[Request]:
    from horsekit.stage import portrait

    plan = StagePlan(
        ROOT / data.path, tokenizers, CLIPS, split=data.split, seconds=data.seconds, size=data.size
    )
    requests = []
    for seed in range(data.first_seed, data.first_seed + CLIPS):
        script = draw(plan, seed)
        references = [
            Picture(portrait(character, seed * 10 + slot, size=data.size))
            for slot, character in enumerate(script.characters, start=1)
        ]
        requests.append(Request(script.prompt(seed), references, data.seconds, seed))
    return requests


def _row(request: Request, clip: Clip) -> list[Picture]:
    first = request.references[0] if request.references else clip.picture(0)
    reference = first[0] if isinstance(first, (list, tuple)) else first
    last = len(clip.frames) - 1
    reference = reference.fitted(*clip.frames.shape[1:3])
    return [reference, *(clip.picture(last * k // (COLUMNS - 1)) for k in range(COLUMNS))]
