"""The shape of a unified transformer, in the keys of the published config files (SPEC §1.1)."""

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

PARAMS_DTYPES = ("float32", "bfloat16")
PREDICTIONS = ("velocity", "residual")
SIZES = ("num_layers", "hidden_size", "head_dim", "num_query_groups")
CHANNELS = ("video_in_channels", "audio_in_channels", "text_in_channels")
LAYER_LISTS = ("mm_layers", "gelu7_layers", "local_attn_layers")


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and switches of UnifiedTransformer.

    num_query_groups: key/value heads. mm_layers: layers with one expert per modality; gelu7_layers: layers
    with GELU7 instead of SwiGLU7; local_attn_layers with frame_receptive_field r: video sees 2r + 1 latent
    frames. video_in_channels: those of a patch. params_dtype: of the layers' linear maps where loading does not
    say otherwise; all else is float32.
    text_vocab_size: words come as token ids instead of encoder states; num_slots: subjects that references
    and mentions can be tied to; predicts: what the output means, see horsekit.flow.to_velocity. rotary_top,
    rotary_span: rotary frequencies start at b_k = top · span^(−k/n), in radians for each patch or latent; a
    small grid needs high ones to tell neighbours apart, and has no use for very low ones.
    Errors: ValueError naming the field that does not fit.
    """

    num_layers: int = 40
    hidden_size: int = 5120
    head_dim: int = 128
    num_query_groups: int = 8
    video_in_channels: int = 192
    audio_in_channels: int = 64
    text_in_channels: int = 3584
    mm_layers: tuple[int, ...] = (0, 1, 2, 3, 36, 37, 38, 39)
    gelu7_layers: tuple[int, ...] = (0, 1, 2, 3)
    local_attn_layers: tuple[int, ...] = ()
    params_dtype: str = "float32"
    frame_receptive_field: int = -1
    coords_style: str = "v2"
    patch: tuple[int, int, int] = (1, 2, 2)
    text_vocab_size: int | None = None
    num_slots: int = 0
    predicts: str = "velocity"
    rotary_top: float = 1.0
    rotary_span: float = 10_000.0

    def __post_init__(self) -> None:
        for name in (*LAYER_LISTS, "patch"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_types()
        if self.hidden_size % self.head_dim:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of head_dim {self.head_dim}")
        if self.num_heads % self.num_query_groups:
            heads, groups = self.num_heads, self.num_query_groups
            raise ValueError(f"{heads} heads do not divide into {groups} query groups")
        if self.head_dim % 8:
            raise ValueError(f"head_dim is {self.head_dim}; rotary positions need a multiple of 8")
        if self.video_in_channels % math.prod(self.patch):
            raise ValueError(f"video_in_channels {self.video_in_channels} are no patches of {self.patch}")
        for name in LAYER_LISTS:
            wrong = [i for i in getattr(self, name) if not 0 <= i < self.num_layers]
            if wrong:
                raise ValueError(f"{name} names layer {wrong[0]}, but there are {self.num_layers} (from 0)")
        if self.params_dtype not in PARAMS_DTYPES:
            raise ValueError(f"params_dtype is {self.params_dtype!r}; use one of {PARAMS_DTYPES}")
        if self.predicts not in PREDICTIONS:
            raise ValueError(f"predicts is {self.predicts!r}; use one of {PREDICTIONS}")
        if not (self.rotary_top > 0 and self.rotary_span >= 1):
            raise ValueError(
                f"rotary_top is {self.rotary_top} and rotary_span {self.rotary_span}; "
                "use a top above 0 and a span of at least 1"
            )
        if self.coords_style not in ("v1", "v2"):
            raise ValueError(f"coords_style is {self.coords_style!r}; use 'v1' or 'v2'")
        if self.local_attn_layers and self.frame_receptive_field < 0:
            raise ValueError(
                f"local_attn_layers need a frame_receptive_field of 0 or more, not {self.frame_receptive_field}"
            )

    def _check_types(self) -> None:
        least = dict.fromkeys((*SIZES, *CHANNELS), 1) | {"frame_receptive_field": -1, "num_slots": 0}
        if self.text_vocab_size is not None:
            least["text_vocab_size"] = 1
        for name, low in least.items():
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {low}")
        for name in (*LAYER_LISTS, "patch"):
            if any(type(value) is not int for value in getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; it must hold whole numbers")
        if len(self.patch) != 3 or min(self.patch) < 1:
            raise ValueError(f"patch is {self.patch}; give three sizes: time, height, width")

    @property
    def num_heads(self) -> int:
        return self.hidden_size // self.head_dim

    @property
    def bands(self) -> int:
        """Rotary frequencies per axis."""
        return self.head_dim // 8

    def ffn_size(self, layer: int) -> int:
        """Inner width of a layer's feed-forward part (SPEC §1.1)."""
        if layer in self.gelu7_layers:
            return 4 * self.hidden_size
        return self.hidden_size * 8 // 3 // 4 * 4

    @classmethod
    def preset(cls, name: str) -> "TransformerConfig":
        """One of the named sizes."""
        if name not in PRESETS:
            raise ValueError(f"there is no preset {name!r}; choose one of {sorted(PRESETS)}")
        return PRESETS[name]

    @classmethod
    def from_dict(cls, sections: dict) -> "TransformerConfig":
        """From {"transformer": {...}, "packing": {...}}; other sections describe data and are left alone."""
        if not isinstance(sections, dict) or not isinstance(sections.get("transformer"), dict):
            raise ValueError("a transformer config is an object with a section 'transformer'")
        values = {**sections["transformer"], **sections.get("packing", {})}
        known = sorted(field.name for field in fields(cls))
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"transformer config has unknown key {unknown[0]!r}; known keys are {known}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"a value in the transformer config has the wrong type: {error}") from error

    @classmethod
    def open(cls, path: Path | str) -> "TransformerConfig":
        """From a JSON file."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error

    def to_dict(self) -> dict:
        """The form that from_dict reads."""
        values = asdict(self)
        packing = {key: values.pop(key) for key in ("frame_receptive_field", "coords_style")}
        return {"transformer": values, "packing": packing}


_TINY = TransformerConfig(
    num_layers=8,
    hidden_size=256,
    head_dim=64,
    num_query_groups=2,
    video_in_channels=96,
    audio_in_channels=64,
    mm_layers=(0, 7),
    gelu7_layers=(0,),
    patch=(1, 1, 1),
    text_vocab_size=3080,
    num_slots=4,
    predicts="residual",
    rotary_top=4.0,
    rotary_span=256.0,
)
PRESETS = {
    "horse-probe": replace(_TINY, num_layers=4, hidden_size=192, num_query_groups=1, mm_layers=(0, 3)),
    "horse-tiny": _TINY,
    "horse-1b": TransformerConfig(
        num_layers=24,
        hidden_size=1536,
        num_query_groups=4,
        mm_layers=(0, 1, 22, 23),
        gelu7_layers=(0, 1),
        num_slots=4,
        params_dtype="bfloat16",
    ),
    "magihuman-15b": TransformerConfig(params_dtype="bfloat16"),
}
