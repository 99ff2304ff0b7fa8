"""What a fine-tuned adapter changes besides its character: the leakage panel, each figure beside the base model's.

n clips, E coordinates of a character, H W pixels
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from horsekit.character import BrandCharacter
from horsekit.media import Clip, Picture
from horsekit.metrics.camera import camera_of, camera_score
from horsekit.metrics.embedding import block_errors, embed, owners
from horsekit.metrics.identity import CHANCE, LEAST_FACES, Crowd, as_read, cast, distances, point, way_between
from horsekit.metrics.output import BAD, GOOD, aligned, save_json, tabled
from horsekit.metrics.reader import SIZE, Reading, trained
from horsekit.metrics.statistics import Interval, bootstrap
from horsekit.metrics.texture import REACH, Texture, texture_of
from horsekit.pipeline import Pipeline
from horsekit.request import Request
from horsekit.stage import PARAMETERS, Character, Script, portrait

TOGETHER = 8
PICTURES = 3  # of each character
BORDER = 0.2  # of a picture on either side: the room, hardly ever the character
CLOTHES = ("garment_", "pattern_", "emblem_")


@dataclass(frozen=True)
class Row:
    """A figure of the same n clips by the base model and with the adapter; `best` is the end it should be near."""

    key: str
    words: str
    best: str
    base: tuple[float, ...]
    adapted: tuple[float, ...]

    @property
    def intervals(self) -> tuple[Interval, Interval, Interval]:
        """Base, adapted, and what the adapter changes, clip by clip."""
        change = [b - a for a, b in zip(self.base, self.adapted, strict=True)]
        return bootstrap(self.base), bootstrap(self.adapted), bootstrap(change)

    @property
    def better(self) -> bool | None:
        """Whether the adapter moves the figure to where it should be; None where its interval has 0 in it."""
        base, adapted, change = self.intervals
        if change.low <= 0 <= change.high:
            return None
        if self.best == "0":
            return abs(adapted.value) < abs(base.value)
        return (change.value > 0) == (self.best == "high")


@dataclass(frozen=True)
class Panel:
    """All rows for one adapter; unknown: figures that cannot be measured of such a character."""

    character: str
    adapter: str
    rows: tuple[Row, ...]
    unknown: tuple[str, ...] = ()

    def table(self) -> str:
        """Aligned text, with 95% intervals; a change whose interval leaves 0 out is marked."""
        return "\n".join([*aligned(self._cells()), *([self._unmeasured] if self.unknown else [])])

    @property
    def _unmeasured(self) -> str:
        rows = "; ".join(self.unknown)
        return f"not measured, for want of the card's `stage`, of held-out clips or of prompts: {rows}"

    def _cells(self) -> list[tuple[str, ...]]:
        lines = [("", "base", "adapted", "change", "best")]
        for row in self.rows:
            base, adapted, change = row.intervals
            mark = "" if row.better is None else " *"
            cells = (f"{i.value:.2f} [{i.low:.2f}, {i.high:.2f}]" for i in (base, adapted))
            lines.append(
                (
                    row.words,
                    *cells,
                    f"{change.value:+.2f} [{change.low:+.2f}, {change.high:+.2f}]{mark}",
                    row.best,
                )
            )
        return lines

    def _repr_html_(self) -> str:
        tints = {
            (number, 3): GOOD if row.better else BAD
            for number, row in enumerate(self.rows, start=1)
            if row.better is not None
        }
        note = "* the interval of the change leaves 0 out: green towards the best, red away from it"
        return tabled(self._cells(), f"{note}; {self._unmeasured}" if self.unknown else note, tints)

    def data(self) -> dict:
        """Plain values: every row with its intervals and its clips."""
        rows = []
        for row in self.rows:
            named = zip(("base", "adapted", "change"), row.intervals, strict=True)
            rows.append({**asdict(row), "intervals": {name: asdict(i) for name, i in named}})
        return {
            "character": self.character,
            "adapter": self.adapter,
            "rows": rows,
            "unknown": list(self.unknown),
        }

    def save(self, path: Path | str) -> Path:
        """Write `data` as JSON; returns the path."""
        return save_json(path, self.data())


@dataclass(frozen=True, eq=False)
class Trial:
    """One clip to ask for, and how each figure is read off it."""

    request: Request
    figures: dict[str, Callable[[Clip, Reading], float]]


FIGURES = {
    "own": ("the character: identity error, σ", "low"),
    "pictured": ("the same by its pictures, σ", "low"),
    "clothes": ("the character in other clothes: way back to the trained ones", "0"),
    "mixed": ("the character: way towards another that was learnt", "0"),
    "copied": ("the character: likeness of the room to the reference's", "low"),
    "nameless": ("nobody named: distance from the character, σ", "high"),
    "appears": ("nobody named: the character appears, share", "0"),
    "others": ("others: identity error, σ", "low"),
    "toward": ("others: way towards the character", "0"),
    "camera": ("others: right camera move, share", "high"),
    "width": ("others: width of outlines, px", "low"),
}


def panel(
    pipeline: Pipeline,
    adapter: Path | str,
    brand: BrandCharacter,
    clips: int = 8,
    seed: int = 0,
    steps: int | None = None,
    beside: Sequence[BrandCharacter] = (),
) -> Panel:
    """Ask for the same clips without and with an adapter, with a progress bar, and compare.

    How the character looks is read off its held-out clips, which nobody has seen, and where it has none off its
    pictures: whoever is given those repeats how they are read, be it wrong.
    A character of the rendered world is also asked for in other clothes. beside: others that the adapter learnt,
    from which it should be told apart. The adapter stays on the pipeline.
    Errors: ValueError for fewer than 2 clips; CheckpointError for a file that is no adapter of the model.
    """
    arms = measured_arms(pipeline, {"base": None, "adapted": adapter}, brand, clips, seed, steps, beside)
    rows = [
        Row(key, words, best, tuple(arms["base"][key]), tuple(arms["adapted"][key]))
        for key, (words, best) in FIGURES.items()
        if key in arms["base"]
    ]
    possible = FIGURES if beside else FIGURES.keys() - {"mixed"}
    unknown = [words for key, (words, _) in FIGURES.items() if key in possible and key not in arms["base"]]
    return Panel(brand.name, str(adapter), tuple(rows), tuple(unknown))


def measured_arms(
    pipeline: Pipeline,
    adapters: Mapping[str, Path | str | tuple[Path, float] | None],
    brand: BrandCharacter,
    clips: int,
    seed: int = 0,
    steps: int | None = None,
    beside: Sequence[BrandCharacter] = (),
    figures: Collection[str] = tuple(FIGURES),
) -> dict[str, dict[str, list[float]]]:
    """Of each adapter by name (None: the base model alone), the values of the figures, clip by clip.

    All are asked for the same clips, those alone that some of the figures are read off; the last adapter stays on
    the pipeline. Errors: as panel.
    """
    if clips < 2:
        raise ValueError(f"clips is {clips}; give at least 2, or nothing can be said of their spread")
    trials = [t for t in _trials(brand, clips, seed, beside) if not t.figures.keys().isdisjoint(figures)]
    arms = {}
    for name, adapter in adapters.items():
        pipeline.adapt(*([] if adapter is None else [adapter]))
        arms[name] = _measured(pipeline, trials, steps, name)
    return arms


def _measured(
    pipeline: Pipeline, trials: Sequence[Trial], steps: int | None, name: str
) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    with tqdm(total=len(trials), desc=name, unit="clip") as bar:
        for start in range(0, len(trials), TOGETHER):
            part = trials[start : start + TOGETHER]
            made = pipeline.generate_many([trial.request for trial in part], steps=steps)
            for trial, clip in zip(part, made, strict=True):
                reading = trained().reader.read(clip.frames)
                for key, figure in trial.figures.items():
                    values.setdefault(key, []).append(figure(clip, reading))
            bar.update(len(part))
    return values


def _trials(
    brand: BrandCharacter, clips: int, seed: int, beside: Sequence[BrandCharacter]
) -> Iterator[Trial]:
    pictures, prompts = brand.pictures()[:PICTURES], brand.prompts_for(Request.seconds)
    who = point(brand.pictures())
    filmed = point([clip.open() for clip in brand.kept_back]) if brand.kept_back else None
    crowd = Crowd.around(brand.pictures()).points
    everywhere = torch.ones_like(who, dtype=torch.bool)
    ways = [_way(who, point(one.pictures()), everywhere) for one in beside]
    for k in range(clips):
        script = Script.draw(seed + k, "held_out", 1.28, cast=[cast()[k % len(cast())]], speaking=True)
        other = script.characters[0]
        if prompts:
            own = {"own": _error_to(who), "copied": _likeness_to(pictures[0])}
            if filmed is not None:
                own |= {"own": _error_to(filmed), "pictured": _error_to(who)}
            if ways:
                own["mixed"] = lambda clip, reading: max(way(clip, reading) for way in ways)
            yield Trial(
                Request(prompts[k % len(prompts)], [pictures], seed=seed + k, voices=[brand.voice]), own
            )
        if brand.parameters is not None:
            yield _in_other_clothes(brand, other, script, seed + k)
        nameless = {"nameless": _distance_to(who), "appears": _appears(crowd)}
        yield Trial(Request(script.prompt(seed, references=False), seed=seed + k), nameless)
        theirs = [Picture(portrait(other, 1_000 * (seed + k) + n, SIZE)) for n in range(PICTURES)]
        figures = {
            "others": _error_to(embed(other)),
            "toward": _way(as_read(embed(other)), who, everywhere),
            "camera": lambda clip, _, move=script.camera: float(camera_score(camera_of(clip), move).right),
            "width": lambda clip, _, other=other: _width(texture_of(clip, other, camera_of(clip))),
        }
        asked = script.prompt(seed, always=("camera",))
        yield Trial(Request(asked, [theirs], seed=seed + k), figures)


def _in_other_clothes(brand: BrandCharacter, other: Character, script: Script, seed: int) -> Trial:
    """The character in the clothes of another, as the pictures of it show."""
    worn = torch.tensor([p.name.startswith(CLOTHES) for p in PARAMETERS])
    dressed = Character.from_parameters(torch.where(worn, other.parameters, brand.parameters))
    pictures = [Picture(portrait(dressed, 1_000 * seed + 500 + n, SIZE)) for n in range(PICTURES)]
    trained_in = Character.from_parameters(brand.parameters)
    way = _way(as_read(embed(dressed)), as_read(embed(trained_in)), worn[owners()])
    return Trial(Request(script.prompt(seed), [pictures], seed=seed), {"clothes": way})


def _seen(reading: Reading) -> bool:
    return reading.faces >= LEAST_FACES


def _error_to(who: Tensor) -> Callable[[Clip, Reading], float]:
    """Identity error, that of a stranger where nobody is seen."""
    error = lambda r: block_errors(r.character, who).mean(1).sqrt().median().item()  # noqa: E731
    return lambda _, reading: error(reading) if _seen(reading) else CHANCE


def _distance_to(who: Tensor) -> Callable[[Clip, Reading], float]:
    """How far whoever is seen is from somebody; where nobody is, the worst: a ruined picture keeps nobody away."""
    return lambda _, r: distances(r.character.mean(0), who[None]).item() if _seen(r) else 0.0


def _width(texture: Texture) -> float:
    """Of outlines, in pixels: those that cannot be followed count as wide as they could be read."""
    return 2 * REACH if texture.width is None else texture.width


def _appears(crowd: Tensor) -> Callable[[Clip, Reading], float]:
    """Whether the first of the crowd is nearest to what is seen."""
    return lambda _, r: float(_seen(r) and int(distances(r.character.mean(0), crowd).argmin()) == 0)


def _way(asked: Tensor, feared: Tensor, where: Tensor) -> Callable[[Clip, Reading], float]:
    """Where what is seen lies between the character asked for, 0, and the one feared, 1; see way_between."""
    place = lambda r: way_between(r.character.mean(0), asked, feared, where)  # noqa: E731
    return lambda _, reading: place(reading) if _seen(reading) else 0.5


def _likeness_to(reference: Picture) -> Callable[[Clip, Reading], float]:
    """Correlation of what surrounds the character with what surrounds it in the reference, −1 to 1."""
    wanted = _surroundings(reference.fitted(SIZE, SIZE).pixels[None])
    return lambda clip, _: functional.cosine_similarity(_surroundings(clip.frames), wanted).mean().item()


def _surroundings(frames: Tensor) -> Tensor:
    """The left and right borders of frames [F, H, W, 3], coarse, without their mean: [F, n]."""
    pictures = rearrange(frames.float(), "F H W C -> F C H W")
    small = functional.interpolate(pictures, (SIZE // 4, SIZE // 4), mode="area")
    edge = round(BORDER * SIZE / 4)
    sides = torch.cat([small[..., :edge], small[..., -edge:]], -1).flatten(1)
    return sides - sides.mean(1, keepdim=True)
