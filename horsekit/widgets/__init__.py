"""What a notebook shows: a studio to make clips in, and training as it happens."""

from horsekit.widgets.live import Live
from horsekit.widgets.studio import Studio, Take

__all__ = ["Live", "Studio", "Take"]
