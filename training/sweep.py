"""Try other sampler settings on the same clips, and see what each changes beside the model as it ships.

    python training/sweep.py --clips 64 --pairs 40 guidance.sync=8 guidance.text=2,guidance.reference=3 steps=48

Each variant is a list of keys: `guidance.text`, `.reference`, `.voice`, `.sync`, `.direction` and `.sound_above`,
`steps`, `shift`, `renew_above` and `sampler` as in a model's pipeline.json; `references`, the pictures of each
character (1 to 3); `timed`, lines with the times at which they are said; `model`, another model or other weights. All
make the same held-out clips from the same noise, and a change is taken clip by clip; its mark says that its interval
leaves 0 out.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
import yaml
from tqdm.auto import tqdm

from horsekit.flow.guidance import Guidance
from horsekit.media import Clip
from horsekit.metrics import Binding, Crowd, Interval, Measures, binding_of, bootstrap, cast, measure
from horsekit.metrics.held_out import (
    Asking,
    ask,
    bystanders,
    choirs,
    directed,
    draw,
    draw_pairs,
    first_picture,
    generated,
    rendered,
    sides,
)
from horsekit.metrics.identity import CHANCE
from horsekit.metrics.output import aligned, save_json
from horsekit.metrics.statistics import middle
from horsekit.pipeline import CARD, Pipeline, Settings, resolve_model
from horsekit.request import Request
from horsekit.stage import Script

PICTURES = (1, 2, 3)
RENDERER, SHIPPED = "renderer", "as it ships"
SAMPLER = {f.name for f in fields(Settings)} - {"size", "max_seconds", "guidance"}
KEYS = {*SAMPLER, *(f"guidance.{f.name}" for f in fields(Guidance)), "references", "timed", "model"}


@dataclass(frozen=True)
class Figure:
    """What is read off one clip, None where it has none, and how clips are summed up (their mean unless given)."""

    words: str
    read: Callable[[Measures | Binding], float | None]
    over: Callable[[torch.Tensor], torch.Tensor] | None = None
    digits: int = 0


def percent(share: float | None) -> float | None:
    """A share, or a yes or no, in percent, if there is one."""
    return None if share is None else 100.0 * share


OF_CLIPS = {
    "top1": Figure("top-1 of 100 [%]", lambda m: percent(m.identity.found)),
    "error": Figure(
        "identity error [σ]", lambda m: CHANCE if m.identity.reason else m.identity.error, digits=3
    ),
    "timed": Figure("clips that can be timed [%]", lambda m: percent(m.sync.usable)),
    "offset": Figure(
        "offset of those, either way [ms]", lambda m: abs(m.sync.offset) if m.sync.usable else None
    ),
    "slope": Figure("median slope [ms/s]", lambda m: m.sync.slope, middle, 1),
    "closures": Figure("lips shut where /p b m/ is heard [%]", lambda m: percent(m.articulation.closures)),
    "words": Figure("distance from the line asked for", lambda m: m.words, digits=3),
    "voice": Figure("right voice of 20 [%]", lambda m: percent(m.voice.found)),
    "camera": Figure("right one of 16 moves [%]", lambda m: percent(m.camera.right)),
    "gain": Figure(
        "median gain of the camera", lambda m: 0.0 if m.camera.reason else m.camera.gain, middle, 2
    ),
    "light": Figure("right one of 8 sectors of light [%]", lambda m: percent(m.light.right)),
}
OF_PAIRS = {
    "binding": Figure("two: each on its side [%]", lambda p: percent(p.right)),
    "leakage": Figure("two: leakage", lambda p: 0.5 if p.leakage is None else sum(p.leakage) / 2, digits=3),
    "astray": Figure(
        "two: the same towards others, not in the shot",
        lambda p: 0.5 if p.astray is None else p.astray,
        digits=3,
    ),
}


Row = list[float | None]  # a figure of each clip


def variant(text: str) -> dict[str, object]:
    """`key=value,key=value`, the values as YAML reads them."""
    keys = dict(part.partition("=")[::2] for part in text.split(","))
    unknown = sorted(keys.keys() - KEYS)
    if unknown or not all(keys.values()):
        raise ValueError(f"{text!r}: give key=value of {', '.join(sorted(KEYS))}")
    values = {key: yaml.safe_load(value) for key, value in keys.items()}
    if values.get("references", 1) not in PICTURES:
        raise ValueError(f"{text!r}: give references from 1 to {max(PICTURES)}")
    return values


def tuned(settings: Settings, keys: Mapping[str, object]) -> Settings:
    """The settings with a variant's in place of their own. ValueError for strengths that no guidance has."""
    pulls = {key.partition(".")[2]: value for key, value in keys.items() if key.startswith("guidance.")}
    own = {key: value for key, value in keys.items() if key in SAMPLER}
    return replace(settings, guidance=replace(settings.guidance, **pulls), **own)


@dataclass(frozen=True)
class Scenes:
    """What every variant is asked for: scripts, who is in each, their length and seed."""

    scripts: Sequence[Script]
    who: Sequence[Sequence[int]]
    seconds: float
    seed: int

    def requests(self, settings: Settings, keys: Mapping[str, object]) -> list[Request]:
        """The scenes as a variant asks for them."""
        own = {key: keys[key] for key in ("references", "timed") if key in keys}
        asking = Asking(self.seconds, seed=self.seed, **own)
        return ask(self.scripts, self.who, range(len(self.who)), asking, settings)


def read_clips(scenes: Scenes, clips: Sequence[Clip], name: str) -> dict[str, Row]:
    """The figures of clips of one character."""
    own = [who for (who,) in scenes.who]
    first = first_picture(scenes.seed)
    asked = directed(scenes.scripts, own, choirs(own, first), first)
    arm = measure(clips, Crowd.of(cast()), own, name, asked)
    return {key: [figure.read(one) for one in arm.clips] for key, figure in OF_CLIPS.items()}


def read_pairs(scenes: Scenes, clips: Sequence[Clip], name: str) -> dict[str, Row]:
    """The figures of clips of two characters."""
    found = []
    for script, pair, clip in zip(
        scenes.scripts, scenes.who, tqdm(clips, desc=name, unit="clip"), strict=True
    ):
        found.append(binding_of(clip, *sides(script, pair), bystanders(pair)))
    return {key: [figure.read(one) for one in found] for key, figure in OF_PAIRS.items()}


def sweep(options: argparse.Namespace) -> dict[str, dict[str, Row]]:
    """The figures, clip by clip, of the renderer, of the model as it ships, and of each variant."""
    variants = {SHIPPED: {}, **options.variants}
    # what is wrong is said before hours of work
    settings = {
        name: tuned(Settings.open(resolve_model(keys.get("model", options.model)) / CARD), keys)
        for name, keys in variants.items()
    }
    kinds, drawn = [], (options.seconds, options.seed)
    if options.clips:
        scripts, who = draw(options.clips, *drawn)
        kinds.append((Scenes(scripts, [(w,) for w in who], *drawn), read_clips))
    if options.pairs:
        kinds.append((Scenes(*draw_pairs(options.pairs, *drawn), *drawn), read_pairs))
    rows = {RENDERER: {}}
    for scenes, read in kinds:
        played = rendered(scenes.scripts, settings[SHIPPED].size[0])
        rows[RENDERER] |= read(scenes, played, RENDERER)
    for name, keys in variants.items():
        pipeline = Pipeline.from_pretrained(keys.get("model", options.model))
        pipeline.settings, rows[name] = settings[name], {}
        for scenes, read in kinds:
            requests = scenes.requests(pipeline.settings, keys)
            rows[name] |= read(scenes, generated(pipeline, requests, None), name)
        if options.json:
            save_json(options.json, data(options, rows))
    return rows


def known(row: Row) -> list[float]:
    """Without the clips that have no such figure."""
    return [value for value in row if value is not None]


def changes(row: Row, before: Row) -> list[float]:
    """What a variant changes, clip by clip, where both have the figure."""
    return [a - b for a, b in zip(row, before, strict=True) if a is not None and b is not None]


def written(found: Interval | None, digits: int, sign: str = "") -> str:
    """A value with its interval."""
    if found is None:
        return "–"
    return "{0:{3}.{4}f} [{1:{3}.{4}f}, {2:{3}.{4}f}]".format(*asdict(found).values(), sign, digits)


def table(rows: Mapping[str, Mapping[str, Row]]) -> str:
    """A line for each figure and a column for each variant, and the same of the changes to the model as it ships."""
    first, second = [["", *rows]], [["change", *list(rows)[2:]]]
    for key, figure in (OF_CLIPS | OF_PAIRS).items():
        if key not in rows[SHIPPED]:
            continue
        found = {name: known(row[key]) for name, row in rows.items()}
        first.append(
            [figure.words, *(written(bootstrap(v, figure.over), figure.digits) for v in found.values())]
        )
        second.append([figure.words])
        for name in list(rows)[2:]:
            moved = bootstrap(changes(rows[name][key], rows[SHIPPED][key]), figure.over)
            sure = moved is not None and not moved.low <= 0 <= moved.high
            second[-1].append(written(moved, figure.digits, "+") + " *" * sure)
    return "\n".join([*aligned(first), "", *aligned(second)])


def data(options: argparse.Namespace, rows: Mapping[str, Mapping[str, Row]]) -> dict:
    """What was measured, clip by clip, as plain values."""
    facts = {key: getattr(options, key) for key in ("model", "clips", "pairs", "seconds", "seed")}
    return {"facts": facts, "variants": options.variants, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="*", metavar="key=value,...", help="see above")
    parser.add_argument("--model", default="horse-tiny", help="name or folder (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=64, help="of one character (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=0, help="clips of two characters (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.28, help="length of a clip (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write every figure of every clip here")
    options = parser.parse_args()
    if not options.clips and not options.pairs:
        parser.error("nothing to measure; give --clips or --pairs")
    try:
        options.variants = {text: variant(text) for text in options.variants}
        print(table(sweep(options)))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
