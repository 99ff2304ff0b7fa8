"""Choose a video tokenizer by how well a model learns to make its latents, not only by what it keeps.

    python training/probe.py --minutes 8 now=horsekit/weights/horse-tiny next=candidates/next

For each candidate (a folder with text, video and audio tokenizers) the same clips are encoded and a small fresh
model is trained on them, for the same minutes on the same machine. It is then judged by its clips, in pixels, where
candidates can be compared; their losses, shown beside it, are each in a space of its own.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from horsekit.engine.config import ROOT
from horsekit.engine.log import read_log
from horsekit.media import replacing
from horsekit.tokenizers import load_tokenizers

FIGURES = ("top1", "error", "margin", "faces")
PARTS = ("text", "video", "audio")
TRAIN, EVALUATE = ROOT / "training" / "train.py", ROOT / "training" / "evaluate.py"


def train(name: str, tokenizers: Path, minutes: float, out: Path, overrides: list[str]) -> Path:
    """Train the probe on a candidate's latents; returns the run's folder."""
    cache = out / name / "latents" / load_tokenizers(tokenizers).digest
    keys = {
        "name": "run",
        "out": out / name,
        "tokenizers": tokenizers,
        "data.path": cache / "train",
        "held_out.path": cache / "held-out",
        "max_minutes": minutes,
        "resume": "never",
    }
    given = [f"{key}={value}" for key, value in keys.items()]
    config = str(ROOT / "configs" / "train" / "probe.yaml")
    subprocess.run([sys.executable, str(TRAIN), config, *given, *overrides], check=True)
    return out / name / "run"


def assemble(run: Path, tokenizers: Path, folder: Path) -> Path:
    """The trained probe and the candidate as a folder that Pipeline.from_pretrained opens."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run / "weights", folder / "transformer")
    for part in PARTS:
        shutil.copytree(tokenizers / part, folder / part)
    shutil.copy(ROOT / "horsekit" / "weights" / "horse-tiny" / "pipeline.json", folder)
    return folder


def judge(model: Path, clips: int, steps: int | None, folder: Path) -> dict:
    """Figures of the model's clips and of the round trip, with their intervals."""
    file = folder / "figures.json"
    options = ["--model", str(model), "--clips", str(clips), "--json", str(file)]
    options += [] if steps is None else ["--steps", str(steps)]
    subprocess.run(
        [sys.executable, str(EVALUATE), *options, "--sheet", str(folder / "sheet.png")], check=True
    )
    arms = json.loads(file.read_text())["arms"]
    return {arm: {key: arms[arm]["figures"][key] for key in FIGURES} for arm in ("round trip", "model")}


def draw(runs: dict[str, Path], figures: dict[str, dict], path: Path) -> None:
    """Both loss curves and, beside them, what the clips are worth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    curves, bars = figure.subplots(1, 2)
    for name, run in runs.items():
        seen = [(r["samples"], r["held_out"]["video"]) for r in read_log(run) if "held_out" in r]
        curves.plot(*zip(*seen, strict=True), ".-", label=name)
    curves.set(title="held-out video loss, each in its own space", xlabel="clips seen", yscale="log")
    curves.legend()
    values = [figures[name]["model"]["error"] for name in runs]
    spread = [
        [v["value"] - v["low"] for v in values],
        [v["high"] - v["value"] for v in values],
    ]
    bars.errorbar(list(runs), [v["value"] for v in values], yerr=spread, fmt="o", capsize=6)
    bars.set(title="identity error of the clips [σ], 95 %")
    for axes in (curves, bars):
        axes.grid(alpha=0.3)
    with replacing(path) as draft:
        figure.savefig(draft, dpi=120)


def candidate(text: str) -> tuple[str, Path]:
    """NAME=FOLDER, the folder with its tokenizers."""
    name, _, folder = text.partition("=")
    path = Path(folder).resolve()
    lacking = [part for part in PARTS if not (path / part).is_dir()]
    if not folder or lacking:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give name=folder, the folder with {', '.join(PARTS)} (lacks {', '.join(lacking)})"
        )
    return name, path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("candidates", nargs="+", type=candidate, metavar="name=folder")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=100, help="made to judge (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: horse-tiny's)")
    parser.add_argument("--out", type=Path, default=Path("outputs/probe"))
    parser.add_argument(
        "--set", dest="overrides", nargs="*", default=[], metavar="key=value", help="of the probe's config"
    )
    options = parser.parse_args()
    out, candidates = options.out.resolve(), dict(options.candidates)
    runs, figures = {}, {}
    for name, tokenizers in candidates.items():
        runs[name] = train(name, tokenizers, options.minutes, out, options.overrides)
        model = assemble(runs[name], tokenizers, out / name / "model")
        figures[name] = judge(model, options.clips, options.steps, out / name)
        with replacing(out / "probe.json") as draft:
            draft.write_text(json.dumps(figures, indent=1) + "\n")
    draw(runs, figures, out / "probe.png")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
