"""The measure `likelihood`: log p(x) of held-out images, exactly or by bounds."""

__all__ = ["likelihood"]

from typing import Any

from limner.commands.evaluate.entries import Entries, NotApplicable, entry, module_with
from limner.commands.evaluate.subject import Subject
from limner.metrics.likelihood import bits_per_dim, exact_likelihood, likelihood_bounds
from limner.pretrained.trained_model import TrainedModel

CODES = (1, 5, 50, 500)


def likelihood(subject: Subject) -> Entries:
    """Compute log p(x) of held-out images in nats: exactly, or by the ELBO and tighter bounds."""
    module = module_with(subject, "log_weights", "log_prob")
    return _exact(subject, module) if hasattr(module, "log_prob") else _bounds(subject, module)


def _exact(subject: Subject, module: Any) -> Entries:
    split = subject.held_out() or "train"
    found = exact_likelihood(module, subject.labelled_batches(split), device=subject.device)
    about = _protocol(subject, module, split, found.num_images) | {"method": "exact, no bound"}
    bits = bits_per_dim(found.log_prob, num_values=found.num_values, is_density=False)
    return {
        "log_likelihood": entry(found.log_prob, about),
        "bits_per_dim": entry(bits, about | {"unit": "bits for each pixel value"}),
    }


def _bounds(subject: Subject, module: Any) -> Entries:
    if not module.bounds_likelihood:
        raise NotApplicable("its objective or its likelihood gives no bound of log p(x)")
    split = subject.held_out() or "train"
    bounds = likelihood_bounds(
        module, subject.labelled_batches(split), num_samples=CODES, pixels="stored",
        decoded_at_once=2048 // getattr(subject.data, "num_frames", 1),
        seed=subject.seed, device=subject.device,
    )  # fmt: skip
    protocol = _protocol(subject, module, split, bounds.num_images)
    values = {"elbo": bounds.elbo, "elbo_reconstruction": bounds.reconstruction}
    values["elbo_kl"] = bounds.kl
    values |= {f"log_likelihood_iw{k}": v for k, v in bounds.importance_weighted.items()}
    entries = {name: entry(value, protocol) for name, value in values.items()}
    best = bounds.importance_weighted[max(CODES)]
    bits = bits_per_dim(
        best, num_values=bounds.num_values, is_density=module.likelihood.is_density
    )
    entries["bits_per_dim"] = entry(bits, protocol | {"unit": "bits for each pixel value"})
    return entries


def _protocol(subject: Subject, module: Any, split: str, num_images: int) -> dict[str, Any]:
    return {
        "split": split,
        "num_images": num_images,
        "likelihood": type(module.likelihood).__name__,
        "pixels": _pixels(subject),
        "given": _condition(subject.model),
        "unit": f"nats for each {'sequence' if subject.has_frames else 'image'}, larger is better",
    }


def _condition(model: TrainedModel) -> str | None:
    """Return what the likelihood of an image is conditional on."""
    if model.reads_text:
        return "its text"
    return "its class" if model.is_conditional else None


def _pixels(subject: Subject) -> str:
    """Return the form of the images that the likelihood describes, for the protocol."""
    kind = subject.data.binarisation
    return "stored" if kind is None else f"binarised, one fixed draw (trained on: {kind})"
