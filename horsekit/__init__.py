"""horsekit: joint video-and-sound generation whose characters stay themselves."""

__version__ = "0.1.0"
