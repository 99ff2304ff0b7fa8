"""In how much of a file the character is seen: by the reader of rendered characters, or by a network of the user's.

F frames, H W pixels
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from horsekit.adapters.references import References, open_references
from horsekit.media import Picture
from horsekit.metrics import trained
from horsekit.metrics.binding import pairs
from horsekit.metrics.identity import distances
from horsekit.metrics.networks import face_cosines

SAME = 0.3  # cosine above which embeddings such as ArcFace's are taken for one person's
# the reader's distance in standard deviations, beyond which pictures show two characters: of 100 of the stage none is
# as far from itself, and nine in ten are from each other
ANOTHER = 0.9


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

    def two(self, picture: Picture) -> bool:
        """Whether a picture shows two rendered characters beside each other; of others, never."""
        return self.network is None and bool(pairs(picture.pixels[None])[0])

    def strangers(self, pictures: Sequence[Picture]) -> list[int]:
        """Which of the pictures show somebody else than most of the others; of two that differ, the second."""
        if len(pictures) < 2:
            return []
        if self.network is None:
            points = torch.cat([trained().reader.read(p.pixels[None]).character for p in pictures])
            rows = torch.stack([distances(one, points) for one in points])
        else:
            rows = 1 - torch.cat([face_cosines(p.pixels[None], pictures, self.network) for p in pictures])
        others = ~torch.eye(len(pictures), dtype=torch.bool)
        # the lower of two middles: in doubt nobody is a stranger
        middles = rows[others].view(len(pictures), -1).median(1).values
        odd = middles > ANOTHER if self.network is None else middles >= 1 - SAME
        found = odd.nonzero().flatten().tolist()
        return found if len(pictures) > 2 else found[1:]


def doubts(references: References) -> list[str]:
    """What is wrong with the pictures of rendered characters, [Image 1] and so on, and how to mend it.

    references: as Pipeline.generate takes them.
    """
    watch, found = Watch(), []
    for slot, pictures in enumerate(open_references(references), 1):
        whose, clear = f"of [Image {slot}]", []
        for number, picture in enumerate(pictures, 1):
            if watch.two(picture):
                found.append(
                    f"picture {number} {whose} shows two characters, and a mixture of them will come out; cut it to one"
                )
            elif not watch.share(picture.pixels[None]):
                found.append(
                    f"no character is seen in picture {number} {whose}; give one that shows it from the front"
                )
            else:
                clear.append((number, picture))
        found += [
            f"picture {clear[k][0]} {whose} shows somebody else than its others; give each character a slot of its own"
            for k in watch.strangers([picture for _, picture in clear])
        ]
    return found
