"""Training loops in the style of PyTorch's own examples "vae" and "dcgan".

They use a data set of pictures with torchvision's transforms, a DataLoader with two workers, Adam,
and losses that are read in every step and printed from time to time. Two changes make their work
equal to limner's: G's step draws its own noise, and weights are averaged.
"""

__all__ = ["GANTutorial", "Pictures", "VAETutorial", "average", "make_loader"]

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.cases import EMA_HALF_LIFE, Setup
from benchmarks.images import labels, load_images, picture

NUM_WORKERS = 2
LOG_INTERVAL = 10


class Pictures(Dataset):
    """Pictures and labels in the form of torchvision's MNIST and CIFAR10.

    Args:
        path: Path of the file of images.
        transform: Function that is applied to each picture.
    """

    def __init__(self, path: str, transform: Any) -> None:
        self.data = load_images(path)
        self.targets = labels(len(self.data))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(picture(self.data[index])), self.targets[index]


def make_loader(setup: Setup) -> DataLoader:
    """Return a loader of shuffled batches of images in [-1, 1] and labels."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
    return DataLoader(
        Pictures(setup.images, transform),
        batch_size=setup.batch_size,
        shuffle=True,
        num_workers=NUM_WORKERS,
        drop_last=True,
        pin_memory=setup.device == "cuda",
    )


def average(setup: Setup, network: nn.Module) -> AveragedModel:
    """Return the running average of a network's weights."""
    decay = 0.5 ** (setup.batch_size / EMA_HALF_LIFE)
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay)).eval()


class VAETutorial:
    """The example "vae", with the networks given."""

    def __init__(self, setup: Setup, encoder: nn.Module, decoder: nn.Module) -> None:
        self.setup, self.device = setup, torch.device(setup.device)
        self.model = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(self.device)
        self.ema = average(setup, self.model)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=setup.lr, betas=setup.betas)

    def updates(self) -> Iterator[None]:
        """Train without end, and yield after each update."""
        train_loader = make_loader(self.setup)
        self.model.train()
        epoch = 0
        while True:
            epoch += 1
            train_loss = 0.0
            for batch_idx, (data, _) in enumerate(train_loader):
                data = data.to(self.device)
                self.optimizer.zero_grad()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.setup.bf16):
                    loss = self._loss(data)
                loss.backward()
                train_loss += loss.item()
                self.optimizer.step()
                if self.setup.averages:
                    self.ema.update_parameters(self.model)
                if batch_idx % LOG_INTERVAL == 0:
                    print(f"Train Epoch: {epoch} [{batch_idx}/{len(train_loader)}]\t"
                          f"Loss: {loss.item():.6f}")  # fmt: skip
                yield
            print(f"====> Epoch: {epoch} Average loss: {train_loss / len(train_loader):.4f}")

    def _loss(self, x: Tensor) -> Tensor:
        """Return the loss of Gaussian pixels, per value of an image."""
        mu, logvar = self.model["encoder"](x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        sigma = self.setup.values["likelihood"]["sigma"]
        mse = F.mse_loss(self.model["decoder"](z), x, reduction="sum") / (2 * sigma**2)
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return (mse + self.setup.values["kl_weight"] * kld) / x.numel()

    @torch.no_grad()
    def draw(self, num_images: int) -> Tensor:
        """Draw images in [-1, 1] with the averaged weights."""
        z = torch.randn(num_images, self.setup.values["latent_dim"], device=self.device)
        return self.ema.module["decoder"](z).clamp(-1, 1)

    def state(self) -> dict[str, Any]:
        """Return the state that resuming needs."""
        parts = {"model": self.model, "ema": self.ema, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()}


class GANTutorial:
    """The example "dcgan", with the networks given."""

    def __init__(self, setup: Setup, netG: nn.Module, netD: nn.Module) -> None:  # noqa: N803
        self.setup, self.device = setup, torch.device(setup.device)
        self.netG, self.netD = netG.to(self.device), netD.to(self.device)
        self.ema = average(setup, self.netG)
        self.optimizerG, self.optimizerD = (
            torch.optim.Adam(net.parameters(), lr=setup.lr, betas=setup.betas)
            for net in (self.netG, self.netD)
        )

    def updates(self) -> Iterator[None]:
        """Train without end, and yield after each update."""
        dataloader = make_loader(self.setup)
        criterion = nn.BCEWithLogitsLoss()
        netG, netD = self.netG, self.netD
        while True:
            for i, (data, _) in enumerate(dataloader):
                real = data.to(self.device)
                label = torch.full((len(real),), 1.0, device=self.device)

                netD.zero_grad()
                with self._autocast():
                    output = netD(real)
                    errD_real = criterion(output, label)
                errD_real.backward()
                D_x = output.mean().item()
                with self._autocast(), torch.no_grad():
                    fake = netG(self._noise(len(real)))
                label.fill_(0.0)
                with self._autocast():
                    output = netD(fake)
                    errD_fake = criterion(output, label)
                errD_fake.backward()
                D_G_z1 = output.mean().item()
                errD = errD_real + errD_fake
                self.optimizerD.step()

                netG.zero_grad()
                label.fill_(1.0)
                with self._autocast():
                    output = netD(netG(self._noise(len(real))))
                    errG = criterion(output, label)
                errG.backward()
                D_G_z2 = output.mean().item()
                self.optimizerG.step()
                self.ema.update_parameters(netG)

                if i % LOG_INTERVAL == 0:
                    print(f"[{i}/{len(dataloader)}] Loss_D: {errD.item():.4f} "
                          f"Loss_G: {errG.item():.4f} D(x): {D_x:.4f} "
                          f"D(G(z)): {D_G_z1:.4f} / {D_G_z2:.4f}")  # fmt: skip
                yield

    @torch.no_grad()
    def draw(self, num_images: int) -> Tensor:
        """Draw images in [-1, 1] with the averaged weights."""
        return self.ema(self._noise(num_images)).clamp(-1, 1)

    def state(self) -> dict[str, Any]:
        """Return the state that resuming needs."""
        parts = [self.netG, self.netD, self.ema, self.optimizerG, self.optimizerD]
        return {str(number): part.state_dict() for number, part in enumerate(parts)}

    def _noise(self, num_images: int) -> Tensor:
        size = self.setup.values["latent_dim"] + getattr(self.netG, "num_draws", 0)
        return torch.randn(num_images, size, device=self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.setup.bf16)
