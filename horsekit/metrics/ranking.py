"""Which of a run's snapshots to ship, and how strong: the one whose character is truest and leaves others alone.

n clips
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from horsekit.character import BrandCharacter
from horsekit.metrics.leakage import FIGURES, Row, measured_arms
from horsekit.metrics.output import aligned, save_json, tabled
from horsekit.metrics.statistics import Interval, bootstrap
from horsekit.pipeline import Pipeline

BASE = "base"
ERRORS = ("own", "others")


@dataclass(frozen=True)
class Ranked:
    """A snapshot: its score (own and others' identity errors, summed clip by clip), and how far behind the best.

    behind: score minus the best one's, clip by clip; own, others: the two errors; costs: the figures of the leakage
    panel that these clips have besides, and that are significantly worse than without an adapter.
    """

    name: str
    score: Interval
    own: Interval
    others: Interval
    behind: Interval
    costs: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether it is significantly worse than the best: the interval of the difference leaves 0 out."""
        return self.behind.low > 0


@dataclass(frozen=True)
class Ranking:
    """Snapshots and the base model, best first."""

    character: str
    ranked: tuple[Ranked, ...]

    @property
    def verdict(self) -> str:
        """Which is best, and how sure that is."""
        best, *rest = self.ranked
        near = [one.name for one in rest if not one.worse]
        sure = (
            f"not significantly better than {', '.join(near)}"
            if near
            else "significantly better than all others"
        )
        return f"{best.name} is best; {sure}"

    @property
    def best(self) -> str:
        """The best of the snapshots, be it worse than the base model."""
        return next(one.name for one in self.ranked if one.name != BASE)

    def table(self) -> str:
        """Aligned text with 95% intervals, and the verdict."""
        return "\n".join([*aligned(self._cells()), "", self.verdict])

    def _cells(self) -> list[tuple[str, ...]]:
        lines = [("", "score", "own error", "others' error", "behind the best", "costs")]
        for one in self.ranked:
            cells = (f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in (one.score, one.own, one.others))
            mark = " *" if one.worse else ""
            lines.append(
                (
                    one.name,
                    *cells,
                    f"{one.behind.value:+.3f} [{one.behind.low:+.3f}, {one.behind.high:+.3f}]{mark}",
                    ", ".join(one.costs),
                )
            )
        return lines

    def _repr_html_(self) -> str:
        return tabled(self._cells(), f"{self.verdict}. All in σ, low is good; * worse than the best")

    def data(self) -> dict:
        """Plain values."""
        return {**asdict(self), "verdict": self.verdict}

    def save(self, path: Path | str) -> Path:
        """Write `data` as JSON; returns the path."""
        return save_json(path, self.data())


def rank(
    pipeline: Pipeline,
    adapters: Mapping[str, Path | tuple[Path, float]],
    brands: Sequence[BrandCharacter],
    clips: int = 8,
    seed: int = 0,
    steps: int | None = None,
) -> Ranking:
    """Ask every adapter, and the base model, for the same clips of each character; the best adapter stays on.

    adapters: by name, each a file or a file and how strongly it acts.
    Errors: ValueError for no adapters, no characters, fewer than 2 clips, or a character without held-out clips or
    regression prompts; CheckpointError for a file that is no adapter of the model.
    """
    if not adapters:
        raise ValueError("there is no adapter to rank; train with snapshots, or name their files")
    if not brands:
        raise ValueError("there is no character to rank by; give the folder of each")
    errors = [_errors(pipeline, adapters, brand, clips, seed, steps) for brand in brands]
    keys = [key for key in FIGURES if all(key in of[BASE] for of in errors)]
    arms = {name: {key: [e for of in errors for e in of[name][key]] for key in keys} for name in errors[0]}
    scores = {
        name: [own + other for own, other in zip(arm["own"], arm["others"], strict=True)]
        for name, arm in arms.items()
    }
    order = sorted(scores, key=lambda name: sum(scores[name]))
    best = scores[order[0]]
    ranked = tuple(
        Ranked(
            name,
            bootstrap(scores[name]),
            bootstrap(arms[name]["own"]),
            bootstrap(arms[name]["others"]),
            bootstrap([a - b for a, b in zip(scores[name], best, strict=True)]),
            _costs(arms[BASE], arms[name]),
        )
        for name in order
    )
    pipeline.adapt(*([] if order[0] == BASE else [adapters[order[0]]]))
    return Ranking(", ".join(brand.name for brand in brands), ranked)


def _costs(base: Mapping[str, Sequence[float]], arm: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """What an adapter makes significantly worse, of the panel's figures but the two that it is ranked by."""
    rows = [Row(key, *FIGURES[key], tuple(base[key]), tuple(arm[key])) for key in arm if key not in ERRORS]
    return tuple(row.words for row in rows if row.better is False)


def _errors(
    pipeline: Pipeline,
    adapters: Mapping[str, Path | tuple[Path, float]],
    brand: BrandCharacter,
    clips: int,
    seed: int,
    steps: int | None,
) -> dict[str, dict[str, list[float]]]:
    arms = measured_arms(pipeline, {BASE: None, **adapters}, brand, clips, seed, steps, figures=ERRORS)
    if "own" not in arms[BASE]:
        raise ValueError(
            f"{brand.name} has no prompts to be measured by; add held-out clips or regression_prompts"
        )
    return arms
