"""Pictures of held-out captions with the images that a model draws for them."""

__all__ = ["CaptionStrips"]

import lightning as L
import torch

from limner.callbacks.caption_tiles import caption_grid
from limner.callbacks.captioned import scored_split, unknown_words
from limner.callbacks.run_pictures import PeriodicPictures, write_picture
from limner.callbacks.validation_images import spread
from limner.pixels import to_float
from limner.randomness import generator_for

COLUMNS = 4


class CaptionStrips(PeriodicPictures):
    """Callback that writes `samples/update_<n>_captions.png`, for models that read texts.

    The picture shows held-out captions, and above each of them the image that the model draws for
    the caption, beside the real image. It names words that the vocabulary lacks. At the end, the
    callback writes `final_captions.png`. The noise and the captions are the same at each update.

    Args:
        every_num_updates: Smallest number of updates between pictures, at least 1.
        num_images: Largest number of captions, at least 1.
        seed: Seed of the noise.
    """

    key = "captions"

    def __init__(self, *, every_num_updates: int, num_images: int, seed: int) -> None:
        super().__init__(every_num_updates=every_num_updates, num_images=num_images)
        self.seed = seed

    def draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        data = trainer.datamodule
        if not getattr(model, "reads_text", False) or not getattr(data, "has_text", False):
            return
        with self.writing(), torch.no_grad():
            split = scored_split(data)
            store, indices = data.originals(split)
            chosen = spread(indices, self.num_images)
            generator = generator_for(self.seed, "caption strips")
            texts = store.texts[chosen].to(model.device)
            drawn = model.sample(len(chosen), generator=generator, labels=texts)
            about = f"Captions of {split} images. Left: drawn for the caption. Right: real image."
            unknown = unknown_words(data, split, chosen)
            lacks = f" Unknown words: {', '.join(unknown)}." if unknown else ""
            picture = caption_grid(
                drawn, data.captions(split, chosen), columns=COLUMNS,
                title=f"Captions, update {trainer.global_step:,}", about=about + lacks,
                beside=to_float(store.gather(chosen)),
            )  # fmt: skip
            write_picture(
                trainer, picture, f"{name}_captions", key="captions", caption=f"Captions. {about}"
            )
