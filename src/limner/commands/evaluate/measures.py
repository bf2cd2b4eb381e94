"""Measures beyond the distance of two distributions, named in `measures=[...]`.

Each measure takes a `Subject` and returns entries for scores.json, or raises `NotApplicable`.
"""

__all__ = ["MEASURES", "RENAMED", "Entries", "NotApplicable", "measures_alone"]

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from limner.callbacks.picture_labels import with_labels
from limner.commands.evaluate.curves import draw_curve
from limner.commands.evaluate.entries import Entries, NotApplicable, entry, module_with
from limner.commands.evaluate.likelihood import likelihood
from limner.commands.evaluate.subject import ModelSamples, Subject
from limner.data.backgrounds import background_of
from limner.data.store import Store
from limner.errors import UserError
from limner.interfaces import label_kwargs
from limner.metrics.diversity import named_distances, named_features
from limner.metrics.efficiency import count_flops, num_parameters, peak_memory, sampling_speed
from limner.metrics.gan_train import gan_train
from limner.metrics.image_similarity import pair_scores, random_pairs
from limner.metrics.latents import active_units, latent_means, linear_probe
from limner.metrics.memorisation import memorisation, nearest, neighbours_picture
from limner.metrics.reconstruction import reconstructed_pairs
from limner.metrics.trained_with import trained_with
from limner.models.conditions import labels_at
from limner.pixels import to_float, to_uint8

NEIGHBOURS, SHOWN, QUANTILE = 5, 8, 0.05


def diversity(subject: Subject) -> Entries:
    """Compute Wasserstein distances of colour, texture and shape from generated to real images."""
    distances = named_distances(
        named_features([_samples(subject)]), named_features(subject.real("train"))
    )
    protocol = _protocol(subject, split="train")
    return {f"wasserstein_{name}": entry(value, protocol) for name, value in distances.items()}


def pairwise_similarity(subject: Subject) -> Entries:
    """Compute pair scores between generated images, and between real images as a baseline."""
    entries = {}
    sets = {"": _samples(subject), "_real": torch.cat(list(subject.real("train")))}
    for ending, images in sets.items():
        pairs = random_pairs(len(images), num_pairs=subject.num_measured, seed=subject.seed)
        halves = ((images[a], images[b]) for a, b in _columns(pairs))
        found = pair_scores(halves, lpips=subject.lpips)
        protocol = {"num_pairs": found.num_pairs, "seed": subject.seed}
        for name, value in found.mean.items():
            entries[f"pairwise_similarity_{name}{ending}"] = entry(
                value, protocol, found.std[name]
            )
    return entries


def memorised(subject: Subject) -> Entries:
    """Compare distances to the nearest training images with the distances of held-out images."""
    split = subject.held_out()
    if split is None:
        raise NotApplicable("there are no held-out images")
    store, indices = subject.data.split("train")
    size = subject.batch_size

    def training() -> Iterator[Tensor]:
        return (store.gather(part) for part in indices.split(size))

    found = nearest(samples := _samples(subject), training(), k=NEIGHBOURS)
    held_out = nearest(torch.cat(list(subject.real(split))), training(), k=1)
    result = memorisation(found.distances, held_out.distances, quantile=QUANTILE)
    neighbours = [store.gather(indices[row]) for row in found.indices[:SHOWN]]
    picture = with_labels(
        neighbours_picture(samples[: len(neighbours)], torch.stack(neighbours)),
        title="Samples and the nearest training images",
        about="Distances are Euclidean, between pixels.",
        columns=["sample", *(f"nearest {k}" for k in range(1, NEIGHBOURS + 1))],
    )
    picture.save(subject.folder / "nearest_training_images.png")
    protocol = {**_protocol(subject, split=split), "quantile": QUANTILE, "distance": "pixels, L2"}
    return {
        "memorisation_copied": entry(result.copied, protocol),
        "memorisation_nearer": entry(result.nearer, protocol),
        "memorisation_z": entry(result.z, protocol | {"quantiles": result.quantiles}),
    }


def reconstruction(subject: Subject) -> Entries:
    """Compute pair scores of held-out images and their reconstructions."""
    split = subject.held_out() or "train"
    module = module_with(subject, "reconstruct")
    pairs = reconstructed_pairs(module, subject.labelled_batches(split), device=subject.device)
    found = pair_scores(pairs, lpips=subject.lpips)
    protocol = {"split": split, "num_images": found.num_pairs}
    entries = {
        f"reconstruction_{name}": entry(value, protocol, found.std[name])
        for name, value in found.mean.items()
    }
    if subject.evaluator is None:
        return entries
    return entries | _reconstruction_fid(subject, module, split)


def _reconstruction_fid(subject: Subject, module: Any, split: str) -> Entries:
    """Compute the FID between a split and its reconstructions, which leaves out the prior."""
    store, indices = subject.data.split(split)

    def images(first: int, end: int) -> Tensor:
        originals = to_float(store.gather(indices[first:end])).to(subject.device)
        labels = labels_at(module, store, indices[first:end])
        return to_uint8(module.reconstruct(originals, **label_kwargs(labels)))

    about = {"data": subject.data.name, "split": split, "of": "reconstructions of the same images"}
    evaluator = subject.evaluator.only("fid")
    about |= background_of(store)
    reference = evaluator.reference(store, indices, about=about, device=subject.device)
    found = evaluator.score(
        images, len(indices), references={"": reference}, device=subject.device
    )
    return {
        f"reconstruction_{name}": entry(s.value, s.protocol | trained_with(module, s.protocol))
        for name, s in found.items()
    }


def labelled(subject: Subject) -> Entries:
    """Compute GAN-train and GAN-test accuracy of a conditional model or of class folders."""
    store = _labelled_samples(subject)
    split = subject.held_out() or "train"
    found = gan_train(
        samples=(store, torch.arange(len(store))),
        train=subject.data.originals("train"),
        test=subject.data.originals(split),
        image_shape=subject.data.image_shape,
        num_classes=subject.data.num_classes,
        device=subject.device,
    )
    protocol = {
        "num_samples": len(store),
        "split": split,
        "judge": "two-layer CNN, 5 epochs, mean of 3 seeds",
        **subject.generated.about(),
    }
    return {
        f"{name}_accuracy": entry(found_.mean, protocol, found_.std)
        for name, found_ in found._asdict().items()
    }


def _labelled_samples(subject: Subject) -> Store:
    generated = subject.generated
    if isinstance(generated, ModelSamples):
        if getattr(generated.model.module, "num_classes", None) is None:
            raise NotApplicable("the model reads no classes, so its samples have no labels")
        return generated.labelled()
    if generated.store.labels is None:
        raise NotApplicable("the generated images have no labels")
    if generated.classes != subject.data.class_names:
        raise NotApplicable("the class folders of the two sets differ")
    return generated.store


def latents(subject: Subject) -> Entries:
    """Compute active units, and the accuracy of a linear classifier on the mean codes."""
    module = module_with(subject, "encode")
    split = subject.held_out() or "train"

    def means(name: str) -> Tensor:
        return latent_means(module, subject.labelled_batches(name), device=subject.device)

    train = means("train")
    entries = {"active_units": entry(active_units(train), {"split": "train"})}
    if subject.data.num_classes > 1:
        accuracy = linear_probe(
            train_means=train,
            train_labels=subject.labels("train"),
            test_means=means(split),
            test_labels=subject.labels(split),
        )
        protocol = {"split": split, "num_train_images": len(train)}
        entries["linear_probe_accuracy"] = entry(accuracy, protocol)
    return entries


def efficiency(subject: Subject) -> Entries:
    """Measure the size, arithmetic, speed and memory of drawing; draw the score against time."""
    module = module_with(subject, "sample")
    size = subject.batch_size

    def draw(num_images: int) -> Tensor:
        return module.sample(num_images, generator=None)

    speed = sampling_speed(
        draw, batch_size=size, num_batches=5, num_warm_up=1, device=subject.device
    )
    where = {"device": subject.device.type, "batch_size": size}
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    entries = {
        "num_parameters": entry(num_parameters(module), {"of": "the module, its average too"}),
        "num_trained_parameters": entry(trained, {}),
        "multiply_adds_per_sample": entry(count_flops(lambda: draw(1)).macs, {}),
        "samples_per_second": entry(speed.images_per_second, where),
    }
    if (memory := peak_memory(subject.device)) is not None:
        entries["peak_memory_bytes"] = entry(memory, where)
    if subject.evaluator is not None:
        draw_curve(subject.folder, score=f"val/fid{subject.evaluator.features.suffix}")
    return entries


MEASURES: dict[str, Callable[[Subject], Entries]] = {
    "diversity": diversity,
    "pairwise_similarity": pairwise_similarity,
    "memorisation": memorised,
    "reconstruction": reconstruction,
    "likelihood": likelihood,
    "latents": latents,
    "gan_train": labelled,
    "efficiency": efficiency,
}
"""Name of a measure -> its function."""
RENAMED = {"sameness": "pairwise_similarity"}
"""Name of a measure in earlier versions -> its name now."""


def measures_alone(subject: Subject) -> list[str]:
    """Return the measures of a subject without scores, if the user has named none.

    Raises:
        UserError: If the subject has no model with an exact likelihood.
    """
    if subject.model is not None and hasattr(subject.model.module, "log_prob"):
        return ["likelihood"]
    labels = "metrics=classifier, " if subject.data.num_classes > 1 else ""
    lack = "" if labels else "These images have no labels for a classifier.\n"
    raise UserError(
        f"{lack}No score of images is chosen: set {labels}metrics=lite0 or\n"
        "metrics=inception, or measures=[...]."
    )


def _protocol(subject: Subject, *, split: str) -> dict[str, Any]:
    num_samples = min(subject.num_measured, subject.generated.num_images)
    store, indices = subject.data.split(split)
    num_real = min(subject.num_measured, len(indices))
    reference = {"data": subject.data.name, "split": split, "num_images": num_real}
    reference |= background_of(store)
    return {"num_samples": num_samples, "reference": reference, **subject.generated.about()}


def _samples(subject: Subject) -> Tensor:
    if not subject.draws:
        raise NotApplicable("the model draws no images")
    return subject.samples()


def _columns(pairs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for part in pairs.split(250):
        yield part[:, 0], part[:, 1]
