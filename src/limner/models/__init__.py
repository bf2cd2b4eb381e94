"""LightningModules: who is trained, in which order, on which loss.

A model is handed its networks, losses and optimizer factory, and builds none of them. Its
`training_step` returns the named values to log, as tensors that nobody waits for. What it draws
for each image comes from an attribute `noise` (`limner.randomness.Noise`).
"""

from limner.models.classifier import Classifier
from limner.models.gan import GAN
from limner.models.vae import VAE

__all__ = ["GAN", "VAE", "Classifier"]
