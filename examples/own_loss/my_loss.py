"""An adversarial loss: both players minimise a distance between logits and targets.

The class follows `limner.interfaces.AdversarialLoss`. The protocol has
default values of attributes that a loss leaves out. By default, a loss needs no penalty, and G
reads no logits of real images.
"""

from torch.nn.functional import smooth_l1_loss


class Huber:
    """Least squares near the targets, and absolute distances far from them."""

    def __init__(self, real_target, fake_target):
        self.real_target, self.fake_target = real_target, fake_target

    def generator(self, real_logits, fake_logits):
        return self._distance(fake_logits, self.real_target)

    def discriminator(self, real_logits, fake_logits):
        real = self._distance(real_logits, self.real_target)
        return real + self._distance(fake_logits, self.fake_target)

    def _distance(self, logits, target):
        return smooth_l1_loss(logits, logits.new_full(logits.shape, target), reduction="none")
