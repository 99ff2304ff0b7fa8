"""The dataset doctor: a folder as the model will see it, what is wrong with it, and how to mend that."""

from horsekit.doctor.diagnosis import Diagnosis, Examined, Finding
from horsekit.doctor.examine import examine
from horsekit.doctor.faces import doubts
from horsekit.doctor.measures import blur_effect, difference_hash

__all__ = ["Diagnosis", "Examined", "Finding", "blur_effect", "difference_hash", "doubts", "examine"]
