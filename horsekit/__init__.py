"""horsekit: joint video-and-sound generation whose characters stay themselves."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# loaded when first asked for, so that `import horsekit` stays light
_HOME = {
    "BrandCharacter": "horsekit.character",
    "Clip": "horsekit.media",
    "Guidance": "horsekit.flow",
    "Picture": "horsekit.media",
    "Pipeline": "horsekit.pipeline",
    "Request": "horsekit.pipeline",
    "Sound": "horsekit.media",
}
__all__ = ["BrandCharacter", "Clip", "Guidance", "Picture", "Pipeline", "Request", "Sound"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'horsekit' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
