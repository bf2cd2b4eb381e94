"""Options of the config groups, by name, for messages that state which options fit."""

__all__ = [
    "attribute", "data_with_captions", "data_with_inputs", "degradations", "files_with",
    "model_options", "models_that", "options_with", "options_with_labels", "with_options",
]  # fmt: skip

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from limner.config.schema import CONFIG_DIR


def options_with(group: str, key: str) -> str:
    """Return the options of a group whose file has a key, as GROUP=A, B, C."""
    return f"{group}=" + ", ".join(files_with(group, key))


def files_with(group: str, key: str) -> dict[str, DictConfig]:
    """Return the options of a group whose file has a key, and the files."""
    files = sorted((CONFIG_DIR / group).glob("*.yaml"))
    loaded = {file.stem: OmegaConf.load(file) for file in files}
    return {name: node for name, node in loaded.items() if key in node}


def options_with_labels() -> str:
    """Return the options of `data` that may have labels; a folder has them in class folders."""
    files = sorted((CONFIG_DIR / "data").glob("*.yaml"))
    loaded = {file.stem: OmegaConf.load(file) for file in files}
    return "data=" + ", ".join(
        f"{name} (of class folders)" if name == "image_folder" else name
        for name, node in loaded.items()
        if node.get("num_classes", 0) != 0
    )


def data_with_captions() -> str:
    """Return the options of `data` whose images have captions, as data=A, data=B KEY=true, ..."""
    files = sorted((CONFIG_DIR / "data").glob("*.yaml"))
    loaded = {file.stem: OmegaConf.load(file) for file in files}
    return ", ".join(
        f"data={name}"
        + " data.captions=true" * (node.get("captions") is False)
        + " data.text_column=COLUMN" * ("text_column" in node and node.text_column is None)
        for name, node in loaded.items()
        if "base/captions@_here_" in node.get("defaults", [])
    )


def data_with_inputs(*, compares: bool) -> str:
    """Return the options of `data` with inputs that differ from the targets, or equal them.

    Data of several views are left out, since few networks read them, and so are data that need
    another package.
    """
    found = [
        name
        for name, node in files_with("data", "input_shape").items()
        if compares != ({"degradation": "copy"} in node.get("defaults", []))
        and not {"num_views", "revision"} & node.keys()
    ]
    return ("one of " if len(found) > 1 else "") + "data=" + ", ".join(found)


def models_that(name: str) -> str:
    """Return the options of `model` whose class has an attribute that is true, as model=A, B."""
    found = [
        option
        for option, kind in _classes().items()
        if attribute(OmegaConf.create({"model": {"_target_": kind}}), name, False)
    ]
    return f"model={', '.join(found)}" if found else ""


def model_options(model: object) -> str:
    """Return the options that choose the class of a model, as model=A, B; "" for other classes."""
    kind = f"limner.models.{type(model).__name__}"
    if type(model).__module__.partition(".")[0] != "limner":
        return ""
    found = [option for option, other in _classes().items() if other == kind]
    return f"model={', '.join(found)}" if found else ""


def _classes() -> dict[str, str]:
    """Return the class of each option of `model`, also of an option that builds on another."""
    files = sorted((CONFIG_DIR / "model").glob("*.yaml"))
    loaded = {file.stem: OmegaConf.load(file) for file in files}

    def kind(option: str) -> str | None:
        node = loaded[option]
        below = [each for each in node.get("defaults", []) if each in loaded]
        return node.get("_target_") or (kind(below[0]) if below else None)

    return {option: found for option in loaded if (found := kind(option))}


def with_options(model: object) -> str:
    """Return the class of a model, and the options that choose it."""
    options = model_options(model)
    return f"{type(model).__name__} ({options})" if options else type(model).__name__


def degradations(*, enlarges: bool) -> str:
    """Return the options of data/degradation that make other inputs than the picture itself."""
    if enlarges:
        return "data/degradation=resize, or a list with it such as [blur,resize]"
    names = {file.stem for file in (CONFIG_DIR / "data" / "degradation").glob("*.yaml")}
    return "data/degradation=" + ", ".join(sorted(names - {"none", "copy", "resize"}))


def attribute(config: DictConfig, name: str, default: bool) -> bool:
    """Return an attribute of the class of the model that a config names."""
    kind = OmegaConf.select(config, "model._target_")
    try:
        return bool(getattr(get_object(kind), name, default))
    except (ImportError, ValueError, TypeError):  # the check of the targets explains it
        return default
