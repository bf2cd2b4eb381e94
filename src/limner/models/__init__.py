"""LightningModules: which networks are trained, in which order, and on which loss.

A model receives its networks, losses and optimizer factory, and builds none of them. Its
`training_step` returns the named values to log as tensors, so that it does not wait for the
device. Random numbers for each image come from its attribute `noise` (`limner.randomness.Noise`).
"""

from limner.models.adversarial_image_to_image import AdversarialImageToImage
from limner.models.classifier import Classifier
from limner.models.code_prior import CodePrior
from limner.models.cycle_gan import CycleGAN
from limner.models.gan import GAN
from limner.models.image_to_image import ImageToImage
from limner.models.latent_prior import LatentPrior
from limner.models.pixelcnn import PixelCNN
from limner.models.sequence_vae import SequenceVAE
from limner.models.style_transfer import StyleTransfer
from limner.models.vae import VAE
from limner.models.vaegan import VAEGAN
from limner.models.video_prediction import VideoPrediction
from limner.models.vqvae import VQVAE

__all__ = [
    "GAN",
    "VAE",
    "VAEGAN",
    "VQVAE",
    "AdversarialImageToImage",
    "Classifier",
    "CodePrior",
    "CycleGAN",
    "ImageToImage",
    "LatentPrior",
    "PixelCNN",
    "SequenceVAE",
    "StyleTransfer",
    "VideoPrediction",
]
