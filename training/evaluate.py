"""Measure a model on characters, lines and combinations it never saw.

`python training/evaluate.py --model horse-tiny --clips 100 --json out.json`

`python training/evaluate.py tokenizers --json` measures its tokenizers instead, beside published ones;
`python training/evaluate.py snapshots --run RUN --character FOLDER` ranks the adapters that a run left.

Arms: the renderer's own clips (the ceiling), their way through the tokenizers and back (the tokenizers'
ceiling), the model's clips from the same prompts with reference pictures, such clips driven by the renderer's
sound, and the model's clips scored against another clip's character, sound, camera and light (chance).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from tqdm.auto import tqdm

from horsekit.character import BrandCharacter
from horsekit.engine.export import adapters_of
from horsekit.media import Clip, Picture, contact_sheet
from horsekit.metrics import (
    Crowd,
    Report,
    binding_of,
    cast,
    codecs,
    contrast_of,
    gloss_order,
    measure,
)
from horsekit.metrics.held_out import (
    CHOIR,
    Asking,
    ask,
    bystanders,
    choirs,
    directed,
    draw,
    draw_deliveries,
    draw_glosses,
    draw_pairs,
    first_picture,
    generated,
    known_voice,
    pictures,
    play,
    sides,
)
from horsekit.metrics.output import save_json
from horsekit.metrics.ranking import Ranking, rank
from horsekit.metrics.voice import Choir, VoiceMatch
from horsekit.pipeline import Pipeline
from horsekit.request import Request
from horsekit.stage import GLOSS

GALLERY = 3  # pictures by which each character is known in retrieval by pictures
COLUMNS, ROWS = 6, 12  # frames of a clip and clips on the sheet


def shuffled(clips: Sequence[Clip]) -> list[Clip]:
    """Each clip's picture with the sound of the next."""
    return [
        replace(c, waveform=other.waveform) for c, other in zip(clips, [*clips[1:], clips[0]], strict=True)
    ]


def asking(options: argparse.Namespace) -> Asking:
    """How all scenes are asked for."""
    return Asking(options.seconds, options.references, options.seed)


def sheet(requests: Sequence[Request], truth: Sequence[Clip], made: Sequence[Clip]) -> Picture:
    """A row for each clip: the first reference, frames of the renderer's clip, the same of the model's."""
    rows = []
    for request, true, clip in zip(requests[:ROWS], truth, made, strict=False):
        moments = torch.linspace(0, len(true.frames) - 1, COLUMNS).round().int().tolist()
        rows.append([request.references[0][0], *map(true.picture, moments), *map(clip.picture, moments)])
    return contact_sheet(rows, scale=2)


def evaluate(pipeline: Pipeline, options: argparse.Namespace) -> Report:
    """All arms, measured."""
    size, first = pipeline.settings.size[0], first_picture(options.seed)
    scripts, who = draw(options.clips, options.seconds, options.seed)
    requests = ask(scripts, [(w,) for w in who], range(len(who)), asking(options), pipeline.settings)
    everyone = tqdm(range(len(cast())), desc="gallery", unit="character")
    crowd = Crowd.of(cast(), [pictures(w, GALLERY, first + 100 * w + 50, size) for w in everyone])
    takes = play(pipeline, scripts, requests, options.steps)
    truth, made = takes["renderer"], takes["model"]
    if options.sheet:
        sheet(requests, truth, made).save(options.sheet)
    others = [(w + 1 + index % (len(cast()) - 1)) % len(cast()) for index, w in enumerate(who)]
    sung = choirs(who, first)
    asked = directed(scripts, who, sung, first)
    elsewhere = [
        # the sound is another's already
        replace(other, character=own.character, line=own.line, choir=own.choir, voice=own.voice)
        for other, own in zip([*asked[1:], asked[0]], asked, strict=True)
    ]
    takes["driven"] = generated(
        pipeline,
        [replace(r, sound=clip.sound) for r, clip in zip(requests, truth, strict=True)],
        options.steps,
    )
    arms = {name: (clips, who, asked) for name, clips in takes.items()}
    arms["shuffled"] = (shuffled(made), others, elsewhere)
    facts = {key: getattr(options, key) for key in ("model", "clips", "references", "seconds", "seed")}
    facts["steps"] = options.steps or pipeline.settings.steps
    together, shining = in_pairs(pipeline, options), in_all_glosses(pipeline, options)
    spoken = in_opposite_manners(pipeline, options, sung)
    measured = {
        name: replace(
            measure(clips, crowd, own, name, directions),
            **together.get(name, {}),
            glosses=shining.get(name, ()),
            **spoken.get(name, {}),
        )
        for name, (clips, own, directions) in arms.items()
    }
    error = {name: arm.summary()["error"] for name, arm in measured.items()}
    # the reader's own error is most of it, so that a stranger as well is within twice the round trip
    for name in ("model", "shuffled"):
        facts[f"identity error, {name} over round trip (reach of the model: 2 at most)"] = round(
            error[name] / error["round trip"], 2
        )
    way = (error["model"] - error["round trip"]) / (error["shuffled"] - error["round trip"])
    facts["identity error, share of the way from round trip to stranger"] = round(way, 2)
    shown = {
        f"{name} {k + 1}": clips[k]
        for k in range(min(3, len(truth)))
        for name, clips in (("renderer", truth), ("model", made))
    }
    return Report(f"{options.model} on held-out characters", measured, shown, facts)


def in_pairs(pipeline: Pipeline, options: argparse.Namespace) -> dict[str, dict[str, tuple]]:
    """Clips of two characters in every arm: who is on which side (`pairs`), and whose voice is heard (`duets`)."""
    scripts, pairs = draw_pairs(max(2, options.clips // 2), options.seconds, options.seed)
    requests = ask(scripts, pairs, range(len(pairs)), asking(options), pipeline.settings)
    ends = [sides(script, pair) for script, pair in zip(scripts, pairs, strict=True)]
    takes = play(pipeline, scripts, requests, options.steps)
    voices = [[known_voice(w, first_picture(options.seed)) for w in pair] for pair in pairs]
    duos = [(Choir.of(of), s.speaker) if s.line else None for of, s in zip(voices, scripts, strict=True)]
    strangers = [bystanders(pair) for pair in pairs]
    arms = {name: (clips, ends, strangers) for name, clips in takes.items()}
    arms["shuffled"] = (takes["model"], [*ends[1:], ends[0]], [*strangers[1:], strangers[0]])
    return {
        name: {
            "pairs": tuple(
                binding_of(clip, *of, away) for clip, of, away in zip(clips, wanted, astray, strict=True)
            ),
            "duets": heard(clips, duos, others=name == "shuffled"),
        }
        for name, (clips, wanted, astray) in arms.items()
    }


def heard(
    clips: Sequence[Clip], duos: Sequence[tuple[Choir, int] | None], others: bool = False
) -> tuple[VoiceMatch, ...]:
    """Whether each clip of two with a line is in the speaker's voice; others: the next pair's."""
    spoken = [(clip, duo) for clip, duo in zip(clips, duos, strict=True) if duo]
    sounds = [clip.sound for clip, _ in spoken]
    if others and len(spoken) < 2:
        return ()
    if others:
        sounds = [*sounds[1:], *sounds[:1]]
    return tuple(choir.match(sound, who) for sound, (_, (choir, who)) in zip(sounds, spoken, strict=True))


def in_all_glosses(pipeline: Pipeline, options: argparse.Namespace) -> dict[str, tuple[float, ...]]:
    """Scenes in every gloss and in every arm: whether skin shines in that order."""
    scripts, who = draw_glosses(max(2, options.clips // 10), options.seconds, options.seed)
    requests = ask(scripts, [(w,) for w in who], who, asking(options), pipeline.settings)
    arms, count = play(pipeline, scripts, requests, options.steps), len(GLOSS)
    made = arms["model"]
    arms["shuffled"] = [made[count * (k // count) + (k + k // count) % count] for k in range(len(made))]
    return {
        name: tuple(
            gloss_order(clips[k : k + count], cast()[who[k]], scripts[k].light.direction)
            for k in range(0, len(who), count)
        )
        for name, clips in arms.items()
    }


def in_opposite_manners(
    pipeline: Pipeline, options: argparse.Namespace, sung: dict[int, Choir]
) -> dict[str, dict[str, tuple]]:
    """Lines in opposite manners and in every arm: whether they are heard so (`contrasts`), and in whose voice.

    Of the shuffled arm every other line's two clips change places, and the voice asked for is the next line's.
    """
    scripts, who = draw_deliveries(max(2, options.clips // 10), options.seconds, options.seed)
    requests = ask(scripts, [(w,) for w in who], who, asking(options), pipeline.settings)
    takes = play(pipeline, scripts, requests, options.steps)
    made = takes["model"]
    arms = {name: (clips, who) for name, clips in takes.items()}
    arms["shuffled"] = ([made[k ^ (k >> 1 & 1)] for k in range(len(made))], [*who[2:], *who[:2]])
    pairs = [(s.line.delivery, t.line.delivery) for s, t in zip(scripts[::2], scripts[1::2], strict=True)]
    return {
        name: {
            "contrasts": tuple(
                contrast_of([clips[2 * k].sound, clips[2 * k + 1].sound], pair)
                for k, pair in enumerate(pairs)
            ),
            "delivered": tuple(
                sung[w // CHOIR].match(clip.sound, w % CHOIR) for clip, w in zip(clips, voices, strict=True)
            ),
            "speakers": tuple(who),
        }
        for name, (clips, voices) in arms.items()
    }


def rank_snapshots(pipeline: Pipeline, options: argparse.Namespace) -> Ranking:
    """A run's adapters and the model without one, best first."""
    brands = [BrandCharacter.load(folder) for folder in options.character]
    return rank(pipeline, adapters_of(options.run), brands, options.clips, options.seed, options.steps)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("clips", "tokenizers", "snapshots"), default="clips")
    parser.add_argument("--model", default="horse-tiny", help="name or folder (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=100, help="default: %(default)s")
    parser.add_argument(
        "--references", type=int, choices=(1, 3), default=1, help="pictures of each character"
    )
    parser.add_argument("--seconds", type=float, default=1.28, help="length of a clip (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="sampling steps (default: the model's own)")
    parser.add_argument(
        "--json", type=Path, nargs="?", const=Path("-"), help="write every figure here, or print them as JSON"
    )
    parser.add_argument(
        "--recording",
        type=Path,
        nargs="+",
        default=[],
        help="sounds for lines of their own among the tokenizers",
    )
    parser.add_argument("--report", type=Path, help="folder for report.json and report.html")
    parser.add_argument("--sheet", type=Path, help="PNG of reference, true frames and generated frames")
    parser.add_argument("--run", type=Path, help="whose snapshots to rank")
    parser.add_argument("--character", type=Path, nargs="+", help="the folders that the run learnt from")
    options = parser.parse_args()
    if options.clips < 2:
        parser.error(f"--clips is {options.clips}; give at least 2, or nothing can be shuffled")
    pipeline = Pipeline.from_pretrained(options.model)
    # JSON that is printed is for another program, the tables then for whoever watches
    say = partial(print, file=sys.stderr) if options.json == Path("-") else print
    if options.what == "tokenizers":
        measured = [
            *codecs.measure_tokenizers(pipeline.tokenizers, options.clips, recordings=options.recording),
            *codecs.PUBLISHED,
        ]
        say(codecs.table(measured))
        write(options.json, {"model": options.model, "clips": options.clips, "codecs": codecs.data(measured)})
        return
    if options.what == "snapshots":
        if not options.run or not options.character:
            parser.error("snapshots are ranked with --run RUN --character FOLDER")
        ranking = rank_snapshots(pipeline, options)
        say(ranking.table())
        write(options.json, ranking.data())
        return
    report = evaluate(pipeline, options)
    if options.report:
        report.save(options.report)
    say(report.table())
    say(json.dumps(dict(report.facts)))
    write(options.json, report.data())


def write(path: Path | None, figures: dict) -> None:
    """Figures as JSON, to a file or, for "-", to the standard output."""
    if path is None:
        return
    if path == Path("-"):
        print(json.dumps(figures, allow_nan=False))
        return
    save_json(path, figures)


if __name__ == "__main__":
    main()
