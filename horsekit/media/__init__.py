"""What a person hands in and gets back: pictures, sounds, and clips that hold both on one clock."""

from horsekit.media.clip import Clip
from horsekit.media.files import MediaError, replacing, replacing_folder
from horsekit.media.picture import Picture, contact_sheet
from horsekit.media.sound import Sound, resample

__all__ = [
    "Clip",
    "MediaError",
    "Picture",
    "Sound",
    "contact_sheet",
    "replacing",
    "replacing_folder",
    "resample",
]
