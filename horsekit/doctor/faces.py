"""In how much of a file the character is seen: by the reader of rendered characters, or by a network of the user's.

F frames, H W pixels
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from horsekit.media import Picture
from horsekit.metrics import trained
from horsekit.metrics.identity import distances
from horsekit.metrics.networks import face_cosines

SAME = 0.3  # cosine above which embeddings such as ArcFace's are taken for one person's
ANOTHER = 1.2  # the reader's distance in standard deviations, beyond which pictures show two characters


@dataclass(frozen=True, eq=False)
class Watch:
    """network: a face embedding, which knows the character by `pictures`; None: the reader, which sees anyone."""

    network: nn.Module | None = None
    pictures: tuple[Picture, ...] = ()

    def share(self, frames: Tensor) -> float:
        """The share of frames [F, H, W, 3] in which the character is seen."""
        if self.network is None:
            return trained().reader.read(frames).faces
        return (face_cosines(frames, self.pictures, self.network).mean(1) > SAME).float().mean().item()

    def strangers(self, pictures: Sequence[Picture]) -> list[int]:
        """Which of three or more pictures show somebody else than most of the others."""
        if len(pictures) < 3:
            return []
        if self.network is None:
            points = torch.cat([trained().reader.read(p.pixels[None]).character for p in pictures])
            rows = torch.stack([distances(one, points) for one in points])
        else:
            rows = torch.cat([face_cosines(p.pixels[None], pictures, self.network) for p in pictures])
        others = ~torch.eye(len(pictures), dtype=torch.bool)
        middles = rows[others].view(len(pictures), -1).median(1).values
        odd = middles > ANOTHER if self.network is None else middles <= SAME
        return odd.nonzero().flatten().tolist()
