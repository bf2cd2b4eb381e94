"""Going on with a run: its own saved config, and on top of it what is newly asked for."""

__all__ = ["merged", "resume_folder", "with_saved_overrides"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from limner.errors import UserError


def resume_folder(arguments: Sequence[str]) -> Path | None:
    """The folder that `resume=` names, if it does. Raises `UserError` if that is no run."""
    given = [
        argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")
    ]
    if not given or given[-1] in ("", "null"):
        return None
    folder = Path(given[-1].strip("'\"")).expanduser().resolve()
    if not (folder / ".hydra" / "config.yaml").is_file():
        raise UserError(
            f"resume={given[-1]}: there is no run in this folder (no .hydra/config.yaml)."
        )
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        raise UserError(f"resume={given[-1]}: the run has no checkpoint to go on from yet.")
    return folder


def with_saved_overrides(arguments: Sequence[str], folder: Path) -> list[str]:
    """The arguments that compose the run of `folder` again, changed by the new ones."""
    return _last_of_each([
        *_saved_overrides(folder),
        *arguments,
        f"resume='{folder}'",
        f"hydra.run.dir='{folder}'",
        "hydra.output_subdir=null",
    ])  # fmt: skip


def merged(config: DictConfig, folder: Path) -> DictConfig:
    """The config saved in `folder`, with what the new overrides change.

    The config files may have changed since the run began, so `config`, which was composed from
    them, is trusted only for the difference that the new overrides make to it.
    """
    saved = OmegaConf.load(folder / ".hydra" / "config.yaml")
    before = _leaves(compose("train", overrides=_saved_overrides(folder)))
    after = _leaves(config)
    for key in before.keys() - after.keys():
        parent, _, name = key.rpartition(".")
        OmegaConf.select(saved, parent).pop(name, None)
    for key, value in after.items():
        if key not in before or before[key] != value:
            OmegaConf.update(saved, key, value, force_add=True)
    return saved


def _saved_overrides(folder: Path) -> list[str]:
    return list(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))


def _last_of_each(arguments: Sequence[str]) -> list[str]:
    """Without overrides of a key that is overridden again later: Hydra refuses two of a group."""
    last = {argument.partition("=")[0].lstrip("+~"): argument for argument in arguments}
    return list(last.values())


def _leaves(config: DictConfig) -> dict[str, Any]:
    """Dotted key -> value as written, for every value that is no mapping."""
    found: dict[str, Any] = {}

    def visit(node: Any, path: str) -> None:
        for key, value in node.items():
            here = f"{path}.{key}" if path else str(key)
            if isinstance(value, dict) and value:
                visit(value, here)
            else:
                found[here] = value

    visit(OmegaConf.to_container(config), "")
    return found
