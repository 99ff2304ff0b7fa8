"""How a line is spoken: how fast, how loud and with how much melody, in whatever voice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Delivery:
    """pace: times the voice's own rate; level: dB over the steady loudness; melody: range of the pitch, 0 is one pitch,
    50 espeak's own, 100 the widest."""

    pace: float = 1.0
    level: float = 0.0
    melody: int = 50


DELIVERIES = {
    "plain": Delivery(),
    "soft": Delivery(level=-9.0),
    "loud": Delivery(level=5.0),
    "slow": Delivery(pace=0.72),
    "fast": Delivery(pace=1.4),
    "flat": Delivery(melody=0),
    "lively": Delivery(melody=100),
}
OPPOSITES = (("soft", "loud"), ("slow", "fast"), ("flat", "lively"))
