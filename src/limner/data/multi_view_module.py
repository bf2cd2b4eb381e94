"""Data module for several views of each picture: shifted by fractions of a pixel, or stored."""

__all__ = ["MultiViewDataModule"]

from collections.abc import Sequence
from typing import Any, Literal

from limner.augmentations.degradations import Degradation
from limner.data.paired_store import AnyStore
from limner.data.picture_facts import check_degradation, refuse_cutout
from limner.data.picture_module import PictureDataModule
from limner.data.sources import Source
from limner.data.store import OnCorrupt, StoreKind
from limner.data.view_batches import ViewCrops, WholeViews
from limner.data.view_store import ViewStore, view_table
from limner.data.views import Shifts
from limner.errors import UserError
from limner.files.printable import counted
from limner.interfaces import Augmentation

VIEWS = ("shifts", "folders", "frames")


class MultiViewDataModule(PictureDataModule):
    """Training, validation and test batches of several small views of each picture.

    A batch has `input` (B, N, C, H / scale, W / scale), and `image` (B, C, H, W), which is the
    target of the reference: view (N - 1) // 2, the middle view. All views of a picture have one
    crop and one augmentation. The degradation makes a small copy of each view, with random
    numbers of its own.

    Args:
        views: Where the views of a picture come from: "shifts" of the picture by fractions of a
            pixel of the input; "folders", with a picture of the same name in each folder; or
            "frames", where each picture of a folder is read with its neighbours by name.
        num_views: Number of views N, at least 1.
        max_shift: Largest shift [down, across] of "shifts" in whole pixels of the input.
        others: Other arguments of `PictureDataModule`.
    """

    has_inputs = True

    def __init__(
        self,
        *,
        views: Literal["shifts", "folders", "frames"],
        num_views: int,
        max_shift: Sequence[int],
        name: str,
        source: Source,
        num_channels: int,
        crop_size: int,
        crops_per_picture: int,
        scale: int,
        degradation: Degradation,
        image_shape: Sequence[int] | None,
        input_shape: Sequence[int] | None,
        num_classes: int | None,
        batch_size: int,
        augmentation: Augmentation | None,
        validation_fraction: float,
        test_fraction: float,
        split_seed: int,
        seed: int,
        store: StoreKind,
        memory_limit_gib: float,
        on_corrupt: OnCorrupt,
        background: str | Sequence[int],
    ) -> None:
        if views not in VIEWS:
            raise UserError(f"data.views={views}: must be {' | '.join(VIEWS)}.")
        if num_views < 1:
            raise UserError(f"data.num_views={num_views}: must be 1 or more.")
        super().__init__(
            name=name, source=source, num_channels=num_channels, crop_size=crop_size,
            crops_per_picture=crops_per_picture, scale=scale, degradation=degradation,
            image_shape=image_shape, input_shape=input_shape, num_classes=num_classes,
            batch_size=batch_size, augmentation=augmentation,
            validation_fraction=validation_fraction, test_fraction=test_fraction,
            split_seed=split_seed, seed=seed, store=store, memory_limit_gib=memory_limit_gib,
            on_corrupt=on_corrupt, background=background,
        )  # fmt: skip
        self.views, self.num_views = views, num_views
        self.shifts = None
        if views == "shifts":
            self.shifts = Shifts(num_views=num_views, max_shift=max_shift, scale=scale)
        if degradation is None or getattr(degradation, "adds_mask", False):
            raise UserError(
                "data/degradation: several views need a degradation without holes, such as "
                "data/degradation=resize."
            )

    def refuse(self, model: object) -> None:
        """Raise `UserError` if a model cannot be trained on these views."""
        network = getattr(model, "network", None)
        if not getattr(model, "reads_input", False) or not getattr(network, "reads_views", False):
            raise UserError(
                f"data={self.name} gives {self.num_views} views of each picture, which only some "
                "networks read:\nchoose model=super_resolution network=multi_frame, or "
                "network=multi_view."
            )
        refuse_cutout(self.augmentation)
        check_degradation(
            self.degradation, image_shape=self.image_shape, input_shape=self.input_shape
        )
        store, indices = self.pictures("train")
        store.refuse_small(indices, self.crop_size, multiple=self.scale, border=self._margin)

    def describe(self) -> str:
        """Return a description of the data set in one line."""
        return f"{super().describe()}, {counted(self.num_views, 'view')} each"

    def protocol(self) -> dict[str, Any]:
        """Return how views and inputs are made of targets, as plain data."""
        facts = {"views": self.views, "num_views": self.num_views}
        if self.shifts is not None:
            facts["max_shift"] = self.shifts.max_shift
        return super().protocol() | facts

    def train_dataloader(self) -> ViewCrops:
        store, indices = self.pictures("train")
        self._training = ViewCrops(
            self._near(store), indices, shifts=self.shifts, crop_size=self.crop_size,
            crops_per_picture=self.crops_per_picture, recolours=self.recolours,
            degradation=self.degradation, **self._training_options(),
        )  # fmt: skip
        return self._training

    @property
    def _margin(self) -> int:
        return 0 if self.shifts is None else max(self.shifts.margin)

    def _batches(self, split: str, **ranks: int) -> WholeViews:
        store, indices = self.pictures(split)
        store.refuse_small(indices, self.scale, key="scale", border=self._margin)
        return WholeViews(
            store, indices, scale=self.scale, degradation=self.degradation, shifts=self.shifts,
            split_seed=self.split_seed, layout=self.layout, **ranks,
        )  # fmt: skip

    def _opened(self) -> tuple[dict[str, AnyStore], list[str] | None]:
        stores, groups = super()._opened()
        if self.shifts is not None:
            return stores, groups
        made, groups = {}, []
        for split, store in stores.items():
            table, keys = view_table(store.names, views=self.views, num_views=self.num_views)
            made[split] = ViewStore(store, table)
            groups = keys if split == "train" else groups
        if self.views != "frames":
            return made, None
        self._refuse_few_folders(len({*groups}), made)
        return made, groups

    def _refuse_few_folders(self, number: int, stores: dict[str, AnyStore]) -> None:
        """Raise `UserError` if there are fewer training folders than splits to cut from them."""
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        cut = [split for split, share in fractions.items() if share and split not in stores]
        if number < 1 + len(cut):
            raise UserError(
                "data.views=frames: the frames of a folder stay in one split, and there "
                f"{'is' if number == 1 else 'are'} {number} folder{'s'[: number != 1]}\nfor "
                f"training and {' and '.join(cut)}: use {1 + len(cut)} folders or more, or set\n"
                f"{' and '.join(f'data.{split}_fraction=0' for split in cut)}."
            )
