"""The README.md of an exported model: its use, its architecture, its data and its scores."""

__all__ = ["model_card"]

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from limner.commands.results import packages_in
from limner.data.vocabulary import sizes_of_texts
from limner.files.markdown import code, fenced, plain
from limner.files.printable import counted, printable
from limner.interfaces import Encodes, Generates, Samples
from limner.pretrained.chosen_texts import known_texts
from limner.pretrained.picture_transform import Transforms, choices_of
from limner.pretrained.trained_model import TrainedModel
from limner.pretrained.video_transform import PredictsFrames

UNCHOSEN = "Not chosen by the person who exported this model."


def model_card(
    model: TrainedModel,
    config: Mapping[str, Any],
    *,
    address: str,
    scores: Mapping[str, Mapping[str, Any]],
    license: str | None,
) -> str:
    """Return the card as Markdown, with the front matter that the Hugging Face Hub reads.

    Args:
        model: The exported model.
        config: Content of its config.yaml.
        address: Address by which `limner.load` finds the model.
        scores: Entries of the run's scores.json.
        license: Identifier such as mit; None if no license was chosen.
    """
    data = config["data"]
    on = plain(data.get("path") or data["name"] or "unnamed data")
    name = f"{type(model.module).__name__} on {on}"
    front = {
        "library_name": "limner",
        "license": printable(license or "unknown"),
        **_task(model),
        **({"datasets": [printable(data["path"])]} if "path" in data else {}),
        "tags": ["limner", type(model.module).__name__.lower()],
    }
    sections = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {name}",
        *(["![Samples, seed 0](samples.png)"] if isinstance(model.module, Samples) else []),
        _use(model, address, own=sorted(filter(str.isidentifier, packages_in(config["model"])))),
        _model(model, config),
        _data(
            config["data"],
            held_out=model.config["data"].get("held_out"),
            reads_text=model.reads_text,
            any_size=isinstance(model.module, Transforms),
            are_frames=model.reads_frames,
        ),
        _scores(scores, model.update),
        f"## Licence\n\n{plain(license) if license else UNCHOSEN}",
    ]
    return "\n\n".join(sections) + "\n"


def _task(model: TrainedModel) -> dict[str, str]:
    """Return the hub's name of what the model does."""
    if isinstance(model.module, PredictsFrames):
        return {"pipeline_tag": "video-to-video"}
    if isinstance(model.module, Transforms):
        return {"pipeline_tag": "image-to-image"}
    if model.reads_text:
        return {"pipeline_tag": "text-to-image"}
    is_image = not model.is_conditional and not model.reads_frames
    return {} if not is_image else {"pipeline_tag": "unconditional-image-generation"}


def _use(model: TrainedModel, address: str, *, own: Sequence[str]) -> str:
    """Return how to load the model; `own` are the packages of its classes that limner lacks."""
    literal = printable(address.replace("\\", r"\\").replace('"', r"\""))
    trust = f", trust={json.dumps(own)}" if own else ""
    lines = ["import limner", f'model = limner.load("{literal}"{trust})']
    if isinstance(model.module, Samples):
        shape = "(16, T, H, W, C)" if model.reads_frames else "(16, H, W, C)"
        lines.append(f"images = model.sample(16, seed=0)  # uint8 {shape}")
    if isinstance(model.module, PredictsFrames):
        about = "uint8 (T, H, W, C), of any size"
        lines.append(f"frames = model.transform(frames, num_targets=10)  # {about}")
    elif isinstance(model.module, Transforms):
        for choices in choices_of(model.module):
            more = ", mask" if model.picture_transform(**choices).needs_mask else ""
            more += "".join(f", {name}={json.dumps(value)}" for name, value in choices.items())
            about = "uint8 (H, W, C), of any size"
            lines.append(f"picture = model.transform(picture{more})  # {about}")
    if model.reads_text:
        texts = known_texts(model.module.captions, model.config["data"], 1)
        text = json.dumps(printable(*texts), ensure_ascii=False) if texts else '"..."'
        lines.append(f"images = model.sample(4, seed=0, text={text})")
    elif model.is_conditional:
        lines.append("images = model.sample(16, seed=0, label=0)  # of one class")
    if isinstance(model.module, Encodes):
        lines.append("codes = model.encode(images)")
    text = "## Use\n\n" + fenced("\n".join(lines), "python")
    if own:
        text += (
            f"\n\nThis model has classes of {', '.join(map(code, own))}, which neither limner nor "
            "this folder contains. Loading needs their code: put the folder that contains it on "
            "Python's path, for example by `PYTHONPATH=FOLDER`. `trust=` runs this code, so read "
            "it first. On the command line: `limner sample run=... --config-dir FOLDER "
            f"'trust=[{','.join(own)}]'`."
        )
    return text


def _model(model: TrainedModel, config: Mapping[str, Any]) -> str:
    state = model.module.state_dict()
    facts = {
        "class": code(config["model"]["_target_"]),
        "weights": f"{sum(value.numel() for value in state.values()):,} numbers"
        + (", including the moving average that makes the images" if _has_ema(model) else ""),
        "update": plain(model.update),
        "seed": plain(config["seed"]),
        "limner": config["limner"],
    }
    if isinstance(model.module, Generates):
        facts["latent codes"] = f"{model.module.latent_dim} numbers from N(0, 1)"
    if isinstance(model.module, PredictsFrames):
        targets = counted(model.module.num_targets, "frame")
        facts["frames"] = f"{targets} from {model.module.num_inputs}"
    elif isinstance(model.module, Transforms):
        scale = model.picture_transform(**choices_of(model.module)[0]).scale
        facts["scale"] = f"{scale} (output size / input size)"
    return "## Model\n\n" + _table(("", ""), facts.items())


def _has_ema(model: TrainedModel) -> bool:
    return getattr(model.module, "ema", None) is not None


def _data(
    data: Mapping[str, Any],
    *,
    held_out: Any,
    reads_text: bool,
    any_size: bool,
    are_frames: bool,
) -> str:
    """Return the facts of the data; a model of pictures of any size was trained on crops.

    `held_out` is the list of the combinations that no training image shows; None for no such list.
    """
    channels, height, width = data["image_shape"]
    size = f"{height}x{width} pixels"
    size = f"sequences of frames of {size}" if are_frames else size
    facts = {
        "name": plain(data["name"]),
        "images": f"pictures of any size, in crops of {size}" if any_size else size,
    }
    if "path" in data:
        facts["data set of the Hugging Face Hub"] = code(data["path"])
        facts["commit"] = code(data["revision"])
    facts["images"] += f", {counted(channels, 'channel')}"
    if not reads_text:
        facts["classes"] = plain(data["num_classes"] or "no labels")
    if data.get("vocabulary") is not None:
        facts["texts"] = sizes_of_texts(data["text_length"], data["num_tokens"])
    if isinstance(held_out, list) and held_out:
        facts["combinations in no training image"] = plain(", ".join(map(str, held_out)))
    return "## Data\n\n" + _table(("", ""), facts.items())


def _scores(scores: Mapping[str, Mapping[str, Any]], update: int | None) -> str:
    """Return each score with its whole protocol, and whether it belongs to these weights."""
    if not scores:
        return "## Scores\n\nNone."
    rows = []
    for name, entry in scores.items():
        deviation = f" ± {entry['std']:.2g}" if "std" in entry else ""
        floor = f" (real images: {entry['floor']:.5g})" if "floor" in entry else ""
        rows.append((code(name), f"{entry['value']:.5g}{deviation}{floor}"))
        for baseline, value in entry.get("baselines", {}).items():
            rows.append((f"{code(name)}, {plain(baseline)}", f"{value:.5g}"))
    text = "## Scores\n\n" + _table(("score", "value"), rows)
    updates = {str(entry["protocol"].get("update")) for entry in scores.values()}
    if updates != {str(update)}:
        others = ", ".join(sorted(map(plain, updates)))
        text += f"\n\nScored at update {others}; these weights are from update {update}."
    protocols = {printable(name): _printable(entry["protocol"]) for name, entry in scores.items()}
    made = yaml.safe_dump(protocols, sort_keys=False, default_flow_style=None, width=200)
    return f"{text}\n\nThe protocol of each score:\n\n" + fenced(made.rstrip("\n"), "yaml")


def _printable(value: Any) -> Any:
    """Return plain data with all texts escaped."""
    if isinstance(value, Mapping):
        return {printable(key): _printable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_printable(part) for part in value]
    return printable(value) if isinstance(value, str) else value


def _table(head: tuple[str, str], rows: Any) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {key} | {value} |" for key, value in rows)])
