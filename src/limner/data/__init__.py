"""Image data: from files and arrays to batches."""

from limner.data.captioned_folder import CaptionedFolder
from limner.data.captioned_module import CaptionedDataModule
from limner.data.captioned_shapes import CaptionedShapes
from limner.data.domain_folders import DomainFolders
from limner.data.frame_folders import FrameFolders
from limner.data.hugging_face import HuggingFace
from limner.data.hugging_face_pairs import HuggingFacePairs
from limner.data.module import ImageDataModule
from limner.data.moving_digits import MovingDigits
from limner.data.moving_shapes import MovingShapes
from limner.data.multi_view_module import MultiViewDataModule
from limner.data.paired_folder import PairedFolder
from limner.data.paired_module import PairedDataModule
from limner.data.picture_folder import PictureFolder
from limner.data.picture_module import PictureDataModule
from limner.data.sequence_module import SequenceDataModule
from limner.data.shape_edges import ShapeEdges
from limner.data.shape_styles import ShapeStyle, ShapeStyles
from limner.data.shapes import Shapes
from limner.data.sources import Digits, ImageFolder
from limner.data.stacked_digits import StackedDigits
from limner.data.torchvision_source import TorchvisionSource
from limner.data.unpaired_module import UnpairedDataModule

__all__ = [
    "CaptionedDataModule", "CaptionedFolder", "CaptionedShapes", "Digits", "DomainFolders",
    "FrameFolders", "HuggingFace", "HuggingFacePairs", "ImageDataModule", "ImageFolder",
    "MovingDigits", "MovingShapes", "MultiViewDataModule", "PairedDataModule", "PairedFolder",
    "PictureDataModule", "PictureFolder", "SequenceDataModule", "ShapeEdges", "ShapeStyle",
    "ShapeStyles", "Shapes", "StackedDigits", "TorchvisionSource", "UnpairedDataModule",
]  # fmt: skip
