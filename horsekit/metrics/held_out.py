"""Held-out scenes to measure a model on: scripts, who is in them, what they are asked for with, and their clips.

Everybody in them is of the cast of 100, whom no model saw; who is said by their numbers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from horsekit.dataset.stage import VOICE_SECONDS
from horsekit.media import Clip, Picture, Sound
from horsekit.metrics.embedding import embed
from horsekit.metrics.identity import cast
from horsekit.metrics.measure import Asked
from horsekit.metrics.voice import Choir
from horsekit.pipeline import Pipeline, Settings
from horsekit.request import Request
from horsekit.stage import GLOSS, Script, portrait, portrait_light, stage_batch
from horsekit.stage.delivery import OPPOSITES
from horsekit.stage.script import voice_sample
from horsekit.stage.speech import SAMPLE_RATE
from horsekit.tokenizers import Tokenizers

TOGETHER = 8  # clips rendered, coded or generated at once
CHOIR, CHOIR_SECONDS = 20, 4.0  # voices to tell apart, and how much of each they are known by
MEASURED = ("camera", "light")  # what a prompt does not ask for cannot be right


@dataclass(frozen=True)
class Asking:
    """How scenes are asked for: their length, the pictures of each who is in them, and the seed of it all.

    timed: whether lines are given with the times at which they are said; those of clips made in windows always are.
    """

    seconds: float = 1.28
    references: int = 1
    seed: int = 0
    timed: bool = False


def draw(clips: int, seconds: float, seed: int) -> tuple[list[Script], list[int]]:
    """Held-out scripts, spoken by the 100 characters of the cast in turn, and who speaks in each."""
    who = [index % len(cast()) for index in range(clips)]
    scripts = [
        Script.draw(seed + index, "held_out", seconds, cast=[cast()[w]], speaking=True)
        for index, w in enumerate(tqdm(who, desc="write", unit="script"))
    ]
    return scripts, who


def draw_pairs(pairs: int, seconds: float, seed: int) -> tuple[list[Script], list[tuple[int, int]]]:
    """Held-out scripts of two characters of the cast, and who is in each."""
    who = [((2 * k) % len(cast()), (2 * k + 1) % len(cast())) for k in range(pairs)]
    scripts = [
        Script.draw(seed + k, "held_out", seconds, cast=[cast()[w] for w in pair])
        for k, pair in enumerate(tqdm(who, desc="write pairs", unit="script"))
    ]
    return scripts, who


def draw_glosses(scenes: int, seconds: float, seed: int) -> tuple[list[Script], list[int]]:
    """Held-out scenes, each matte, normal and oily in turn, and who is in each script."""
    who = [w % len(cast()) for w in range(scenes) for _ in GLOSS]
    scripts = [
        Script.draw(seed + w, "held_out", seconds, cast=[cast()[w]], speaking=False)
        for w in tqdm(who, desc="write glosses", unit="script")
    ]
    glosses = [*GLOSS] * (len(who) // len(GLOSS))
    return [replace(s, light=replace(s.light, gloss=g)) for s, g in zip(scripts, glosses, strict=True)], who


def draw_deliveries(lines: int, seconds: float, seed: int) -> tuple[list[Script], list[int]]:
    """Held-out lines for each two opposite manners, spoken in either in turn, and who speaks each."""
    scripts, who = [], [w % len(cast()) for w in range(lines)]
    for first, second in OPPOSITES:
        for w in tqdm(who, desc=f"write {first}, {second}", unit="script"):
            script = Script.draw(
                seed + w, "held_out", seconds, cast=[cast()[w]], speaking=True, delivery=first
            )
            scripts += [script, script.delivered(second)]
    return scripts, [w for w in who for _ in range(2)] * len(OPPOSITES)


def pictures(who: int, count: int, first: int, size: int) -> list[Picture]:
    """Reference pictures of a character of the cast; another `first`, other pictures."""
    return [Picture(portrait(cast()[who], first + k, size)) for k in range(count)]


def speech_of(who: int, seed: int, seconds: float, without: str = "") -> Sound:
    """Some held-out lines in the voice of a character of the cast, none in `without`."""
    waveform = voice_sample(cast()[who].voice, seed, "held_out", seconds, without)
    return Sound(waveform[:, None], SAMPLE_RATE)


def choirs(who: Sequence[int], first: int) -> dict[int, Choir]:
    """The voices of the cast, twenty at a time, by number; those choirs alone in which somebody is asked for."""
    voices = range(len(cast()))
    return {
        number: Choir.of([known_voice(w, first) for w in voices[CHOIR * number : CHOIR * (number + 1)]])
        for number in sorted({w // CHOIR for w in who})
    }


def known_voice(who: int, first: int) -> Sound:
    """What a voice of the cast is known by; other lines than are handed to the model."""
    return speech_of(who, first + 100 * who + 99, CHOIR_SECONDS)


def directed(
    scripts: Sequence[Script], who: Sequence[int], sung: Mapping[int, Choir], first: int
) -> list[Asked]:
    """What clips of one character each should show and sound like. sung: of choirs; first: of first_picture."""
    return [
        Asked(
            cast()[w],
            script.camera,
            script.light,
            portrait_light(first + 100 * w),
            script.line.speech,
            sung[w // CHOIR],
            w % CHOIR,
        )
        for script, w in zip(scripts, who, strict=True)
    ]


def sides(script: Script, pair: Sequence[int]) -> list[Tensor]:
    """Who of two should stand on the left and who on the right, points [E]."""
    return [embed(cast()[w]) for w in (pair[::-1] if script.mirrored else pair)]


def bystanders(pair: Sequence[int]) -> list[Tensor]:
    """Everybody of the cast who is not in the shot."""
    return [embed(character) for number, character in enumerate(cast()) if number not in pair]


def first_picture(seed: int) -> int:
    """The number of the first reference picture of the cast's first character."""
    return 10_000 * (seed + 1)


def ask(
    scripts: Sequence[Script],
    who: Sequence[Sequence[int]],
    seeds: Iterable[int],
    asking: Asking,
    settings: Settings,
) -> list[Request]:
    """The scripts as requests, with pictures and voices of those who are in them, and a seed each for their noise."""
    first = first_picture(asking.seed)
    # of a clip made in windows, each has to know which words are its own
    timed = asking.timed or asking.seconds > settings.max_seconds
    return [
        Request(
            script.prompt(asking.seed, timed=timed, always=MEASURED),
            [pictures(w, asking.references, first + 100 * w, settings.size[0]) for w in those],
            asking.seconds,
            asking.seed + seed,
            voices=[
                speech_of(w, first + 100 * w, VOICE_SECONDS, script.line.text if script.line else "")
                for w in those
            ],
        )
        for script, those, seed in zip(scripts, who, seeds, strict=True)
    ]


def rendered(scripts: Sequence[Script], size: int) -> list[Clip]:
    """The clips as the stage plays them."""
    return _together(scripts, lambda part: [clip for clip, _ in stage_batch(part, size)], "render")


@torch.inference_mode()
def round_trip(clips: Sequence[Clip], tokenizers: Tokenizers) -> list[Clip]:
    """The clips as the tokenizers give them back."""

    def code(part: Sequence[Clip]) -> list[Clip]:
        frames = tokenizers.video.decode(tokenizers.video.encode(torch.stack([c.frames for c in part])))
        waves = torch.stack([c.waveform[:, 0] for c in part])
        waves = tokenizers.audio.decode(tokenizers.audio.encode(waves))[:, : waves.shape[1], None]
        return [replace(c, frames=f, waveform=w) for c, f, w in zip(part, frames, waves, strict=True)]

    return _together(clips, code, "round trip")


def generated(pipeline: Pipeline, requests: Sequence[Request], steps: int | None) -> list[Clip]:
    """The model's clips."""
    return _together(requests, lambda part: pipeline.generate_many(part, steps=steps), "generate")


def _together(items: Sequence, work: Callable[[Sequence], list[Clip]], name: str) -> list[Clip]:
    clips: list[Clip] = []
    with tqdm(total=len(items), desc=name, unit="clip") as bar:
        for start in range(0, len(items), TOGETHER):
            part = items[start : start + TOGETHER]
            clips += work(part)
            bar.update(len(part))
    return clips


def play(
    pipeline: Pipeline, scripts: Sequence[Script], requests: Sequence[Request], steps: int | None
) -> dict[str, list[Clip]]:
    """The same scripts in every arm but the shuffled one."""
    truth = rendered(scripts, pipeline.settings.size[0])
    made = generated(pipeline, requests, steps)
    return {"renderer": truth, "round trip": round_trip(truth, pipeline.tokenizers), "model": made}
