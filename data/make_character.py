"""Render a stage character's pictures and clips: `python data/make_character.py data/characters/fennel`.

card.yaml is written by hand; references/, voice.wav, clips/ (to learn from) and held_out/ (to measure with, in lines,
phrasings and camera-light pairs that no training clip has) are made from its `stage` parameters and voice.
"""

import argparse
import json
from pathlib import Path

import torch
from tqdm.auto import tqdm

from horsekit.character import CARD, METADATA, BrandCharacter, read_card
from horsekit.media import Picture, Sound, replacing
from horsekit.stage import PARAMETERS, Character, Voice, portrait
from horsekit.stage.script import Script, stage, voice_sample
from horsekit.stage.speech import SAMPLE_RATE

REFERENCES, CLIPS, HELD_OUT = 6, 8, 4
WORDINGS = 4
SIZE = 64
VOICE_SECONDS = 3.0


def stage_character(folder: Path) -> Character:
    """The character that a folder's card describes."""
    card = read_card(folder / CARD)
    if card.stage is None or set(card.stage) != {p.name for p in PARAMETERS}:
        names = ", ".join(p.name for p in PARAMETERS)
        raise SystemExit(f"{folder / CARD}: stage: give exactly these parameters: {names}.")
    voice = card.voice
    values = torch.tensor([card.stage[p.name] for p in PARAMETERS])
    return Character.from_parameters(values, Voice(voice.variant, voice.pitch, voice.rate))


def write_clips(folder: Path, character: Character, split: str, seeds: range, language: str) -> None:
    """Clips of 1.28 and 2.56 s in turn, each with its prompt in several wordings."""
    rows = []
    for number, seed in enumerate(tqdm(seeds, desc=folder.name, unit="clip"), 1):
        seconds = 2.56 if number % 2 else 1.28
        script = Script.draw(seed, split, seconds, cast=[character], speaking=True, language=language)
        clip, truth = stage(script, SIZE)
        row = {
            "file_name": f"{number:02d}.mp4",
            "prompt": [script.prompt(wording) for wording in range(WORDINGS)],
            "seed": seed,
            "split": split,
            "seconds": seconds,
            "line": truth.line,
            "move": truth.move,
        }
        clip.save(folder / row["file_name"], {"prompt": row["prompt"][0]})
        rows.append(json.dumps(row, ensure_ascii=False) + "\n")
    with replacing(folder / METADATA) as temporary:
        temporary.write_text("".join(rows), encoding="utf-8")


def main() -> None:
    """Write everything but the card, then read the folder back as a check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=5_006_000, help="first seed of pictures and clips")
    options = parser.parse_args()
    folder, seed = options.folder, options.seed
    character, language = stage_character(folder), read_card(folder / CARD).voice.language
    for number in range(REFERENCES):
        picture = Picture(portrait(character, seed + number, 2 * SIZE))
        picture.save(folder / "references" / f"{number + 1}.png")
    sample = voice_sample(character.voice, seed, "train", VOICE_SECONDS, language=language)
    Sound(sample[:, None], SAMPLE_RATE).save(folder / "voice.wav")
    write_clips(folder / "clips", character, "train", range(seed, seed + CLIPS), language)
    write_clips(folder / "held_out", character, "held_out", range(seed, seed + HELD_OUT), language)
    made = BrandCharacter.load(folder)
    print(f"{made.name}: {len(made.clips)} clips, {len(made.held_out)} held out, digest {made.digest[:12]}")


if __name__ == "__main__":
    main()
