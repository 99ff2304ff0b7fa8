"""What a training run is told: a YAML file, and `key=value` on the command line over it."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from horsekit.dataset.sample import Recipe, Twins

ROOT = Path(__file__).resolve().parents[2]
ZERO_FOLDER = ROOT / "configs" / "deepspeed"
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class ConfigError(ValueError):
    """A key that is unknown, missing or ill-typed; the message names it."""


class Section(BaseModel):
    """A part of a config: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(Section):
    """Where the samples come from; paths are relative to the repository.

    stage: cached latents of rendered clips in `path`; the first `clips` of them are rendered where they are missing
    (null: take what is there). characters: the clips of brand characters' folders, `characters`, each with the
    pictures and the voice of its card. folder: clips and pictures listed in `path`/metadata.jsonl, with `references`,
    pictures or folders of pictures, of the one character they show, and `voice`, a file of its speech. Of both, clips
    and pictures may have any shape and length; size: the side of a square of as many pixels as each of them keeps;
    stills: so many frames of each clip are learnt as pictures as well. twins: the stage's clips come two by two, each
    pair differing in one term or in the voice, see dataset.stage. recipe: fields of dataset.Recipe.
    """

    kind: Literal["stage", "characters", "folder"]
    path: str = ""
    characters: tuple[str, ...] = ()
    size: Annotated[int, Field(gt=0)] = 64
    seconds: Positive = 1.28
    clips: Annotated[int, Field(gt=0)] | None = None
    first_seed: Annotated[int, Field(ge=0)] = 0
    split: Literal["train", "held_out"] = "train"
    references: tuple[str, ...] = ()
    voice: str | None = None
    stills: Annotated[int, Field(ge=0)] = 0
    twins: Twins = ""
    recipe: dict[str, int | float] = {}

    @field_validator("recipe")
    @classmethod
    def _check_recipe(cls, value: dict[str, int | float]) -> dict[str, int | float]:
        known = sorted(field.name for field in fields(Recipe))
        unknown = sorted(set(value) - set(known))
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}; known keys here are {', '.join(known)}")
        Recipe(**value)
        return value

    @model_validator(mode="after")
    def _check_source(self) -> "DataConfig":
        needed = "characters" if self.kind == "characters" else "path"
        if not getattr(self, needed):
            raise ValueError(f"{needed} is empty; data of the kind {self.kind} come from there")
        return self


class OptimizerConfig(Section):
    """adamw for everything, or muon for the matrices of the layers with adamw for the rest.

    lr: AdamW's rate; matrix_lr: Muon's, on the same scale (null: lr).
    """

    kind: Literal["adamw", "muon"] = "adamw"
    lr: Positive = 1e-3
    matrix_lr: Positive | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: tuple[Share, Share] = (0.9, 0.95)


class ScheduleConfig(Section):
    """The rate rises over `warmup_steps` and falls linearly to 0 over the last share `decay` of the run."""

    warmup_steps: Annotated[int, Field(ge=0)] = 50
    decay: Share = 0.6


class EmaConfig(Section):
    """The average that is shipped: weights with this decay per step, updated every `every` steps."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    every: Annotated[int, Field(gt=0)] = 1


class LoraConfig(Section):
    """Low-rank updates of the frozen base; scope: which tokens they act on, "media" those of pictures and sound."""

    rank: Annotated[int, Field(gt=0)] = 16
    alpha: Positive = 16.0
    scope: Literal["all", "media", "references"] = "references"


class ObjectiveConfig(Section):
    """Fields of flow.Objective."""

    shift: Positive = 3.0
    audio_weight: Annotated[float, Field(ge=0)] = 0.5
    first_weight: Positive = 1.0
    lips_weight: Annotated[float, Field(ge=0)] = 0.0
    binding_weight: Annotated[float, Field(ge=0)] = 0.0
    twin_weight: Annotated[float, Field(ge=0)] = 0.0
    term_weight: Annotated[float, Field(ge=0)] = 0.0
    apart: Share = 0.0


class TrainConfig(Section):
    """A training run.

    prior: samples of other characters, to which prior_share of the steps go, so that a fine-tune keeps them.
    model: for pretrain a preset or a JSON file of TransformerConfig, otherwise a model that ships with
    horsekit or a folder of weights. batch_size: samples per process and backward pass, stills_batch_size the
    same for single frames (null: as many). max_minutes: a time budget; the run ends, and the rate has fallen, when
    steps or minutes are used up, whichever is first. *_every: in steps, 0 for never. seed: of the order of the
    samples, their tasks and their noise; a run that goes on from another's weights wants another, or it begins with
    the same samples again. precision: of the products of float32 weights; auto is bf16 where the device is faster with
    it. snapshots: how many copies of the averaged weights are kept, evenly over the run, to choose from afterwards.
    zero: which file of configs/deepspeed/ is used.
    """

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$")]
    mode: Literal["pretrain", "finetune", "lora"]
    model: str
    tokenizers: str = "horse-tiny"
    out: str = "runs"
    seed: Annotated[int, Field(ge=0)] = 0
    data: DataConfig
    held_out: DataConfig | None = None
    prior: DataConfig | None = None
    prior_share: Share = 0.25
    batch_size: Annotated[int, Field(gt=0)]
    stills_batch_size: Annotated[int, Field(gt=0)] | None = None
    accumulation: Annotated[int, Field(gt=0)] = 1
    steps: Annotated[int, Field(gt=0)]
    max_minutes: Positive | None = None
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    ema: EmaConfig = EmaConfig()
    lora: LoraConfig = LoraConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    gradient_clip: Annotated[float, Field(ge=0)] = 1.0
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    zero: Literal[0, 1, 2, 3] = 0
    gradient_checkpointing: bool = False
    log_every: Annotated[int, Field(gt=0)] = 10
    evaluate_every: Annotated[int, Field(ge=0)] = 0
    evaluate_batches: Annotated[int, Field(gt=0)] = 4
    preview_every: Annotated[int, Field(ge=0)] = 0
    checkpoint_minutes: Positive = 10.0
    snapshots: Annotated[int, Field(ge=0)] = 0
    wandb: Literal["off", "offline", "online"] = "off"
    resume: Literal["auto", "never"] = "auto"

    @model_validator(mode="after")
    def _check_together(self) -> "TrainConfig":
        if self.optimizer.kind == "muon" and self.zero:
            raise ValueError(
                f"optimizer.kind is muon and zero is {self.zero}: Muon needs whole matrices, ZeRO 1 to 3 cut "
                "them up; set zero=0 or optimizer.kind=adamw"
            )
        if self.optimizer.kind == "muon" and self.mode == "lora":
            raise ValueError("optimizer.kind is muon and mode is lora; set optimizer.kind=adamw")
        if self.evaluate_every and self.held_out is None:
            raise ValueError(
                "evaluate_every needs held_out, a section like data; add it or set evaluate_every=0"
            )
        return self

    @property
    def folder(self) -> Path:
        """The run's folder, relative to the repository unless `out` is absolute."""
        return Path(self.out) / self.name

    def to_yaml(self) -> str:
        """The form that load_config reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: Path | str, overrides: list[str] | tuple[str, ...] = ()) -> TrainConfig:
    """Read a YAML file (from here or from the repository) and put `key=value` over it; keys may be dotted.

    Errors: ConfigError naming the file and the key that is unknown, missing or ill-typed.
    """
    file = config_file(path)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no keys; write one `key: value` per line")
    for override in overrides:
        _put(values, override)
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_explain(e) for e in error.errors())) from error


def config_file(path: Path | str) -> Path:
    """The YAML file of that path, from here or from the repository. Errors: ConfigError naming those there are."""
    for place in (Path(path), ROOT / path):
        if place.is_file():
            return place
    known = sorted(str(place.relative_to(ROOT)) for place in (ROOT / "configs" / "train").glob("*.yaml"))
    raise ConfigError(f"there is no config {str(path)!r}; give a YAML file such as {', '.join(known)}")


def zero_config(stage: int) -> dict[str, Any]:
    """The DeepSpeed settings of a ZeRO stage, as shipped in configs/deepspeed/."""
    return yaml.safe_load((ZERO_FOLDER / f"zero{stage}.json").read_text(encoding="utf-8"))


def _put(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r} is no override; write key=value, for example optimizer.lr=0.001")
    *parents, last = key.split(".")
    for parent in parents:
        below = values.get(parent)
        if below is None:
            below = values[parent] = {}
        if not isinstance(below, dict):
            raise ConfigError(f"{override!r}: {parent} is {below!r} and has no keys of its own")
        values = below
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: the value is not YAML: {_one_line(error)}") from error


def _explain(error: dict[str, Any]) -> str:
    place = [str(part) for part in error["loc"]]
    key = ".".join(place)
    if error["type"] == "extra_forbidden":
        known = ", ".join(_section(place[:-1]).model_fields)
        return f"unknown key {key}; known keys here are {known}"
    if error["type"] == "missing":
        return f"{key} is missing; add it to the file or pass {key}=..."
    message = error["msg"].removeprefix("Value error, ")
    return (
        f"{key} is {error['input']!r}: {message}"
        if key and not isinstance(error["input"], dict)
        else (f"{key}: {message}" if key else message)
    )


def _section(place: list[str]) -> type[Section]:
    section: type[Section] = TrainConfig
    for part in place:
        kind = section.model_fields[part].annotation
        section = kind if isinstance(kind, type) else next(k for k in kind.__args__ if issubclass(k, Section))
    return section


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
