"""Checks of how a config conditions its model on classes or texts."""

__all__ = ["refuse_condition", "refuse_lone_texts"]

from omegaconf import DictConfig, OmegaConf

from limner.errors import UserError

FOR_DISCRIMINATORS = ("projection", "auxiliary")
MATCHING = "limner.losses.matching.TextMatching"


def refuse_condition(config: DictConfig) -> None:
    """Raise UserError for a choice of model/condition that is for another kind of model."""
    condition = OmegaConf.select(config, "network.discriminator_condition")
    reads_text = config.model.get("text") is not None
    if condition in FOR_DISCRIMINATORS and "discriminator" not in config.model:
        raise UserError(
            f"model/condition={'text' if reads_text else condition} is for discriminators, and "
            f"this model has none:\nchoose {'text_vae' if reads_text else 'none or concat'}."
        )
    is_gan = "discriminator" in config.model and "auxiliary" in config.model
    if reads_text and is_gan and config.model.auxiliary is None and condition == "none":
        raise UserError(
            "model/condition=text_vae is for VAEs, and this model is a GAN:\nchoose text."
        )


def refuse_lone_texts(config: DictConfig) -> None:
    """Raise UserError if losses that compare the texts of a micro-batch get one text at a time.

    Args:
        config: Config with the final `data.batch_size`, which `gradients.accumulate` divides.
    """
    losses = config.model.get("auxiliary")
    if not OmegaConf.is_dict(losses) or losses.get("_target_") != MATCHING:
        return
    names = ("mismatch_weight", "contrastive_weight", "generator_weight")
    batch_size, accumulate = config.data.batch_size, config.gradients.accumulate
    if batch_size // accumulate > 1 or not any(losses.get(name) for name in names):
        return
    raise UserError(
        f"data.batch_size={batch_size} and gradients.accumulate={accumulate}: micro-batches of "
        "one image;\nmodel/condition=text compares the texts of a micro-batch: choose 2 or more."
    )
