"""Losses of the two players of a GAN, as functions of D's logits for real and fake images.

Each class follows `limner.interfaces.AdversarialLoss`. If a formula needs probabilities, D(x) is
sigmoid(logits). The code uses softplus(-a) = -log sigmoid(a).
"""

__all__ = ["Hinge", "LeastSquares", "Minimax", "NonSaturating", "Relativistic", "Wasserstein"]

from torch import Tensor
from torch.nn.functional import relu, softplus


class Minimax:
    """The two-player game of Goodfellow et al. (2014), equation 1, https://arxiv.org/abs/1406.2661.

    min_G max_D  E[log D(x)] + E[log(1 - D(G(z)))]
    """

    needs_lipschitz, relativistic, threshold = False, False, 0.0

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -softplus(fake_logits)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(-real_logits) + softplus(fake_logits)


class NonSaturating(Minimax):
    """Minimax loss of D, while G maximises log D(G(z)) (section 3 of the same paper)."""

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return softplus(-fake_logits)


class LeastSquares:
    """Mao et al. (2017), equation 9 (a = 0, b = c = 1), https://arxiv.org/abs/1611.04076.

    D: (D(x) - 1)^2 / 2 + D(G(z))^2 / 2        G: (D(G(z)) - 1)^2 / 2        with D unbounded
    """

    needs_lipschitz, relativistic, threshold = False, False, 0.5

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return 0.5 * (fake_logits - 1).square()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return 0.5 * (real_logits - 1).square() + 0.5 * fake_logits.square()


class Hinge:
    """Lim and Ye (2017), https://arxiv.org/abs/1705.02894; Miyato et al. (2018), equations 16, 17.

    D: max(0, 1 - D(x)) + max(0, 1 + D(G(z)))        G: -D(G(z))
    """

    needs_lipschitz, relativistic, threshold = False, False, 0.0

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -fake_logits

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return relu(1 - real_logits) + relu(1 + fake_logits)


class Wasserstein:
    """Arjovsky et al. (2017), equation 2, https://arxiv.org/abs/1701.07875; D must be 1-Lipschitz.

    D: D(G(z)) - D(x)        G: -D(G(z))
    """

    needs_lipschitz, relativistic, threshold = True, False, None

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -fake_logits

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits - real_logits


class Relativistic:
    """RpGAN, Jolicoeur-Martineau (2018), section 4, https://arxiv.org/abs/1807.00734.

    D: softplus(D(G(z)) - D(x))        G: softplus(D(x) - D(G(z)))

    Each fake image is compared with the real image beside it, so D gains nothing if it moves
    all logits by the same amount. The loss converges only with R1 and R2: Huang et
    al. (2024), equation 2, https://arxiv.org/abs/2501.05441.
    """

    needs_lipschitz, relativistic, threshold = False, True, None

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(real_logits - fake_logits)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(fake_logits - real_logits)
