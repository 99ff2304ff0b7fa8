"""From a config to the parts that the loop runs: model, batches, objective."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.distributed as dist

from horsekit.character import CLIPS, BrandCharacter
from horsekit.dataset.batches import Batches, Blend
from horsekit.dataset.folder import LATENTS, LatentCache, encode_folder
from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.lips import load_lips
from horsekit.dataset.sample import Recipe
from horsekit.engine.config import ROOT, ConfigError, DataConfig, TrainConfig
from horsekit.engine.launch import Place
from horsekit.flow import Objective
from horsekit.pipeline import check_fit
from horsekit.tokenizers import Tokenizers, load_tokenizers
from horsekit.transformer import TransformerConfig, UnifiedTransformer, load_transformer

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def build_model(config: TrainConfig, tokenizers: Tokenizers) -> UnifiedTransformer:
    """A fresh model for pretrain, else the one to go on from; for lora frozen, with an adapter to train.

    What learns is float32, whatever the precision of a model that is served: smaller steps would be lost.
    Errors: ValueError naming a model that is not there, or one that the tokenizers do not fit.
    """
    if config.mode == "pretrain":
        torch.manual_seed(config.seed)
        architecture = _architecture(config.model)
        check_fit(architecture, tokenizers)
        return UnifiedTransformer(architecture).float()
    model = load_transformer(weights_folder(config.model))
    check_fit(model.config, tokenizers)
    if config.mode != "lora":
        return model.float()
    from horsekit.adapters.lora import add_lora

    torch.manual_seed(config.seed)
    add_lora(model, config.lora.rank, config.lora.alpha, config.lora.scope)
    return model


def build_objective(config: TrainConfig, tokenizers: Tokenizers, predicts: str) -> Objective:
    """The loss the config asks for. predicts: as the model's config.

    Errors: ValueError where lips are to count and their directions are missing.
    """
    lips = load_lips(_shipped(config.tokenizers), tokenizers) if config.objective.lips_weight else None
    return Objective(
        shift=config.objective.shift,
        audio_weight=config.objective.audio_weight,
        spreads=(tokenizers.video.spread, tokenizers.audio.spread),
        first_weight=config.objective.first_weight,
        lips_weight=config.objective.lips_weight,
        lips=lips,
        binding_weight=config.objective.binding_weight,
        twin_weight=config.objective.twin_weight,
        term_weight=config.objective.term_weight,
        terms=tokenizers.text.terms,
        apart=config.objective.apart,
        predicts=predicts,
    )


def build_training_batches(
    config: TrainConfig, tokenizers: Tokenizers, folder: Path, place: Place
) -> Batches | Blend:
    """What is to be learnt, blended with what is not to be forgotten where the config names a prior."""
    own = build_batches(config.data, config, tokenizers, folder, place)
    if config.mode == "lora" and config.lora.scope == "references" and not own.samples.known:
        raise ConfigError(
            "lora.scope is references, and the data show nobody's pictures or voice, so that nothing would be learnt; "
            "add data.references or data.voice, or set lora.scope=all"
        )
    if config.prior is None:
        return own
    prior = build_batches(config.prior, config, tokenizers, folder, place)
    return Blend(own, prior, config.prior_share)


def build_batches(
    data: DataConfig, config: TrainConfig, tokenizers: Tokenizers, folder: Path, place: Place
) -> Batches:
    """This process's batches; what is not cached yet is rendered or encoded first, with a progress bar."""
    if place.first:
        _fill_cache(data, folder, tokenizers)
    dist.barrier()
    stage = data.kind == "stage"
    samples = LatentDataset.open(ROOT / data.path) if stage else _folder_samples(data, tokenizers, place)
    return Batches(
        samples,
        tokenizers.text,
        config.batch_size,
        Recipe(**data.recipe),
        config.seed,
        place.rank,
        place.world,
        config.stills_batch_size,
        mixed=not stage,
        twins=bool(data.twins),
    )


def open_tokenizers(config: TrainConfig) -> tuple[Tokenizers, Path]:
    """The tokenizers of a model that ships with horsekit or of a folder, and that folder."""
    folder = _shipped(config.tokenizers)
    return load_tokenizers(folder), folder


def weights_folder(model: str) -> Path:
    """The folder with config.json and weights of a model's name, its folder, or a run's `weights`."""
    folder = _shipped(model)
    return folder / "transformer" if (folder / "transformer").is_dir() else folder


def _shipped(name: str) -> Path:
    places = (ROOT / name, ROOT / "horsekit" / "weights" / name)
    for place in places:
        if place.is_dir():
            return place
    known = sorted(path.parent.name for path in places[1].parent.glob("*/pipeline.json"))
    raise ConfigError(
        f"there is no model {name!r}; give a folder, or one of {', '.join(known) or 'none yet'}"
    )


def _architecture(model: str) -> TransformerConfig:
    file = ROOT / model
    return TransformerConfig.open(file) if file.suffix == ".json" else TransformerConfig.preset(model)


def _fill_cache(data: DataConfig, folder: Path, tokenizers: Tokenizers) -> None:
    if data.kind != "stage":
        return
    from horsekit.dataset.stage import StagePlan, build, check_plan

    if data.clips is None:
        check_plan(ROOT / data.path, tokenizers, data.size, data.seconds, data.twins)
        return
    build(
        StagePlan(
            folder=ROOT / data.path,
            tokenizers=folder,
            clips=data.clips,
            first_seed=data.first_seed,
            split=data.split,
            seconds=data.seconds,
            size=data.size,
            twins=data.twins,
        )
    )


def _folder_samples(data: DataConfig, tokenizers: Tokenizers, place: Place) -> LatentDataset:
    cache = LatentCache(ROOT / LATENTS, tokenizers, data.size)
    encode = lambda: LatentDataset.of(  # noqa: E731
        [
            sample
            for source in sources(data)
            for sample in encode_folder(
                source.clips, source.pictures, cache, source.voice, data.stills, source.looks
            )
        ]
    )
    if place.first:
        samples = encode()
        dist.barrier()
        return samples
    dist.barrier()
    return encode()


class Source(NamedTuple):
    """A folder of clips, and the pictures and the voice of the one character that they show.

    looks: its pictures by the look that a clip names; without one, `pictures`.
    """

    clips: Path
    pictures: Sequence[Path]
    voice: Path | None
    looks: Mapping[str, Sequence[Path]] = MappingProxyType({})


def sources(data: DataConfig) -> list[Source]:
    """The folders that a config names, `references` opened. Errors: CharacterError for one that is no character's."""
    if data.kind == "characters":
        brands = [BrandCharacter.load(ROOT / name) for name in data.characters]
        return [
            Source(b.folder / CLIPS, next(iter(b.references.values())), b.voice, b.references) for b in brands
        ]
    pictures = [picture for name in data.references for picture in _pictures(ROOT / name)]
    return [Source(ROOT / data.path, pictures, None if data.voice is None else ROOT / data.voice)]


def _pictures(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in PICTURES)
    if not found:
        raise ConfigError(f"data.references: {place} holds no picture ({', '.join(PICTURES)})")
    return found
