"""A data set of drawn pictures: squares and discs on a dark ground.

The class follows `limner.data.sources.Source`. This source has only the split "train", so limner
cuts validation and test images from it. limner decodes each picture once.
"""

from PIL import Image, ImageDraw

from limner.data.sources import Pictures


class Shapes:
    """Grey pictures of one shape each, in two classes."""

    def __init__(self, num_images, size):
        self.num_images, self.size = num_images, size

    def pictures(self):
        return {
            "train": Pictures(
                names=[f"shape {i}" for i in range(self.num_images)],
                read=self._draw,
                labels=[i % 2 for i in range(self.num_images)],
                classes=["square", "disc"],
                fingerprint=["shapes 1", self.num_images, self.size],
                sizes=["shapes 1", self.num_images, self.size],
            )
        }

    def _draw(self, i):
        picture = Image.new("L", (self.size, self.size), 20)
        side = 3 + i // 2 % (self.size // 2)
        left, top = i % (self.size - side), i // 7 % (self.size - side)
        draw = ImageDraw.Draw(picture)
        shape = draw.ellipse if i % 2 else draw.rectangle
        shape((left, top, left + side, top + side), fill=235)
        return picture
