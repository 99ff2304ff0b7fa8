"""The `horsekit` command. A new sub-command is one class and one entry in COMMANDS."""

import argparse
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_MODEL = "horse-tiny"
GUIDANCE = ("text", "direction", "reference", "voice", "sync")
UNFIT, USER_ERROR, INTERRUPTED = 1, 2, 130  # UNFIT: what was looked at has errors


class Command(Protocol):
    """What a sub-command brings: its name, one line of help, its options, and what it does with them."""

    name: str
    help: str

    def options(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> None: ...


class Generate:
    """A prompt and reference pictures in, an MP4 out."""

    name = "generate"
    help = "make a clip with its sound from a prompt and reference pictures"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--prompt", required=True, help="what is seen and heard; mentions [Image 1], ...")
        parser.add_argument(
            "--reference",
            action="append",
            nargs="+",
            default=[],
            metavar="PICTURE",
            help="pictures of one character; the first --reference is [Image 1], the second [Image 2], ...",
        )
        parser.add_argument("--out", type=Path, required=True, help="the MP4 to write")
        parser.add_argument(
            "--seconds", type=float, default=1.28, help="length of the clip (default: %(default)s)"
        )
        parser.add_argument(
            "--voice",
            action="append",
            default=[],
            metavar="FILE",
            help="a few seconds of speech; the first --voice is that of [Image 1], ...; - for one without",
        )
        parser.add_argument("--first-frame", metavar="PICTURE", help="the picture that opens the clip")
        parser.add_argument("--last-frame", metavar="PICTURE", help="the picture that ends it")
        parser.add_argument("--sound", metavar="FILE", help="a voice that the picture is made to fit")
        parser.add_argument("--film", metavar="MP4", help="a clip whose picture stays and gets a sound")
        parser.add_argument("--before", metavar="MP4", help="a clip that goes on for --seconds")
        parser.add_argument("--seed", type=int, default=0, help="same seed, same clip (default: %(default)s)")
        parser.add_argument("--steps", type=int, help="sampling steps (default: the model's own)")
        parser.add_argument("--text-guidance", type=float, help="how closely to follow the prompt")
        parser.add_argument("--direction-guidance", type=float, help="the same of camera and light alone")
        parser.add_argument("--reference-guidance", type=float, help="how closely to follow the pictures")
        parser.add_argument("--voice-guidance", type=float, help="how closely to follow the voices")
        parser.add_argument(
            "--sync-guidance", type=float, help="how closely lips follow the clip's own sound"
        )
        parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
        parser.add_argument(
            "--adapter",
            action="append",
            nargs="+",
            default=[],
            metavar=("FILE", "WEIGHT"),
            help="a fine-tuned character's file, and how strongly it acts (default: 1); repeat to stack",
        )

    def run(self, options: argparse.Namespace) -> None:
        from dataclasses import replace

        from tqdm.auto import tqdm

        from horsekit.doctor import doubts
        from horsekit.media import Clip, Picture, Sound
        from horsekit.pipeline import Pipeline, Progress

        check_writable(options.out)
        pipeline = Pipeline.from_pretrained(options.model)
        references = [[*map(Picture.open, paths)] for paths in options.reference]
        for doubt in doubts(references) if pipeline.settings.rendered else ():
            warnings.warn(doubt, stacklevel=2)
        if options.adapter:
            pipeline.adapt(*(weighted(words) for words in options.adapter))
        asked = {name: getattr(options, f"{name}_guidance") for name in GUIDANCE}
        guidance = replace(pipeline.settings.guidance, **{k: v for k, v in asked.items() if v is not None})
        media = {"sound": Sound, "film": Clip, "before": Clip}
        handed = {name: getattr(options, name) for name in media}
        opened = {name: path and media[name].open(path) for name, path in handed.items()}
        with tqdm(desc="generating", unit="step", total=options.steps or pipeline.settings.steps) as bar:

            def advance(progress: Progress) -> None:
                bar.total = progress.total
                bar.update()

            clip = pipeline.generate(
                options.prompt,
                references,
                options.seconds,
                options.seed,
                first_frame=options.first_frame,
                last_frame=options.last_frame,
                **opened,
                voices=[None if voice == "-" else voice for voice in options.voice],
                steps=options.steps,
                guidance=guidance,
                callback=advance,
            )
        print(clip.save(options.out))


class Doctor:
    """A dataset as the model will see it."""

    name = "doctor"
    help = "look at a folder of clips and pictures, or a character's, before training on it"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
        parser.add_argument(
            "--size", type=int, default=64, help="side of a square of as many pixels as each keeps"
        )
        parser.add_argument(
            "--face",
            type=Path,
            metavar="NETWORK",
            help="for real footage: a face embedding (torch.export.save)",
        )
        parser.add_argument(
            "--report", type=Path, metavar="HTML", help="a page that shows every file as decoded"
        )

    def run(self, options: argparse.Namespace) -> None:
        from horsekit.dataset.folder import LATENTS, LatentCache
        from horsekit.doctor import examine
        from horsekit.metrics.networks import load_network
        from horsekit.pipeline import resolve_model
        from horsekit.tokenizers import load_tokenizers

        tokenizers = load_tokenizers(resolve_model(options.model))
        face = load_network(options.face, "face") if options.face else None
        diagnosis = examine(options.folder, LatentCache(ROOT / LATENTS, tokenizers, options.size), face)
        print(diagnosis.table())
        if options.report:
            print(diagnosis.save(options.report))
        if diagnosis.errors:
            raise SystemExit(UNFIT)


class Export:
    """An adapter in another program's layout."""

    name = "export"
    help = "write an adapter in the layout of ComfyUI or peft"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("adapter", type=Path, help="safetensors file of a fine-tuned character")
        parser.add_argument("--layout", choices=("comfyui", "peft"), required=True)
        parser.add_argument("--out", type=Path, required=True, help="a file for comfyui, a folder for peft")

    def run(self, options: argparse.Namespace) -> None:
        from horsekit.adapters.export import export_comfyui, export_peft

        {"comfyui": export_comfyui, "peft": export_peft}[options.layout](options.adapter, options.out)
        print(options.out)


class Demo:
    """The quickstart notebook, run from top to bottom."""

    name = "demo"
    help = "fine-tune the shipped character and compare before and after (notebooks/01_quickstart.ipynb)"

    def options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--minutes", type=float, help="how long to fine-tune")

    def run(self, options: argparse.Namespace) -> None:
        runner, notebook = ROOT / "notebooks" / "run.py", ROOT / "notebooks" / "01_quickstart.ipynb"
        if not notebook.is_file():
            raise ValueError(f"{notebook} is not there; the demo needs a clone of the repository")
        settings = [] if options.minutes is None else ["--set", f"minutes={options.minutes}"]
        code = subprocess.call([sys.executable, str(runner), str(notebook), *settings])
        if code:
            raise SystemExit(code)


COMMANDS: tuple[Command, ...] = (Generate(), Doctor(), Export(), Demo())


def weighted(words: Sequence[str]) -> tuple[str, float]:
    """An adapter's file and its weight, as --adapter takes them. Errors: ValueError for anything else."""
    path, *weight = words
    try:
        return path, float(*weight) if weight else 1.0
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"--adapter {' '.join(words)}: give a file, and if any one number for its weight"
        ) from error


def check_writable(path: Path) -> None:
    """Find out before the work that its result cannot be written. Errors: ValueError with the remedy."""
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"--out is {path}; clips are MP4 files, name it {path.with_suffix('.mp4').name}")
    if path.is_dir():
        raise ValueError(f"--out is {path}, which is a folder; add a file name")
    folder = next(parent for parent in path.resolve().parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ValueError(f"--out is {path}, but {folder} cannot be written to; choose another folder")


def parser() -> argparse.ArgumentParser:
    """The parser with every command of COMMANDS."""
    top = argparse.ArgumentParser(
        prog="horsekit", description="Video and sound whose characters stay themselves."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        below = commands.add_parser(command.name, help=command.help, description=command.help)
        command.options(below)
        below.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what a user can mend is told in one line, with exit code 2."""
    options = parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _warn
            options.run(options)
    except (ValueError, OSError, MemoryError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"horsekit: {message}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("horsekit: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    return 0


def _warn(message: Warning | str, *_: object) -> None:
    print(f"horsekit: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
