"""Entries of scores.json, and what a measure needs of a subject."""

__all__ = ["Entries", "NotApplicable", "entry", "module_with"]

from typing import Any

from limner.commands.evaluate.subject import Folder, Subject

Entries = dict[str, dict[str, Any]]


class NotApplicable(Exception):
    """Exception of a measure that does not apply to a subject; its text is the reason."""


def entry(value: float, protocol: dict[str, Any], std: float | None = None) -> dict[str, Any]:
    """Return the entry of a value with its protocol."""
    deviation = {} if std is None else {"std": std}
    return {"value": float(value), **deviation, "protocol": protocol}


def module_with(subject: Subject, *methods: str) -> Any:
    """Return the model, if it has one of these methods.

    Raises:
        NotApplicable: If there is no model, or if it has no such method.
    """
    if isinstance(subject.generated, Folder) or subject.model is None:
        raise NotApplicable("only a run has a model")
    if not any(hasattr(subject.model.module, method) for method in methods):
        raise NotApplicable(f"the model cannot {methods[0].replace('_', ' ')}")
    return subject.model.module
