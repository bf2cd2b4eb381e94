"""The results of the checks as a JSON file and as Markdown tables."""

__all__ = ["NOT_RUN", "Record", "markdown", "write"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu_checks.context import Finding

PASSED, FAILED, TIMED_OUT = "passed", "failed", "timed out"
NEEDS_GPU, NO_TIME = "needs a GPU", "no time left"
NOT_RUN = (NEEDS_GPU, NO_TIME)
"""Results of checks that were not run, or not to their end, without a fault of limner."""


@dataclass(frozen=True)
class Record:
    """Result of a check."""

    name: str
    about: str
    result: str
    """passed, failed, timed out, needs a GPU, or no time left."""
    seconds: float = 0.0
    """Seconds that the check took."""
    limit: float | None = None
    """Time limit in seconds; None for a check that needs a GPU."""
    findings: Sequence[Finding] = ()
    error: Sequence[str] = field(default=())
    """Last lines of the output of a check that failed or timed out."""

    @property
    def is_failure(self) -> bool:
        """Whether the check shows a fault."""
        return self.result in (FAILED, TIMED_OUT)

    @property
    def summary(self) -> str:
        """The result with the number of cases that failed or were not measured."""
        counts = {
            "failed": sum(finding.passed is False for finding in self.findings),
            "not measured": sum(finding.passed is None for finding in self.findings),
        }
        parts = [f"{number} {what}" for what, number in counts.items() if number]
        return f"{self.result} ({', '.join(parts)})" if parts else self.result


def markdown(records: Sequence[Record], about: Mapping[str, Any]) -> str:
    """Return a table of all checks, and a table of the findings of each check.

    Args:
        records: Results in the order of the checks.
        about: Facts about the machine and the call, by name.
    """
    lines = ["# GPU check", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    for record in records:
        if not (record.findings or record.error):
            continue
        lines += [f"## {record.name}", ""]
        if record.findings:
            rows = [(each.what, _mark(each) + each.found) for each in record.findings]
            lines += [*_table(("case", "found"), rows), ""]
        if record.error:
            lines += ["```", *record.error, "```", ""]
    rows = [
        (record.name, record.summary, f"{record.seconds:.0f}", record.about) for record in records
    ]
    lines += ["## Summary", "", *_table(("check", "result", "s", "what it shows"), rows)]
    return "\n".join(lines) + "\n"


def write(folder: Path, records: Sequence[Record], about: Mapping[str, Any]) -> None:
    """Write gpu_check.json and gpu_check.md; each file is complete at any time.

    Args:
        folder: Existing folder.
        records: Results so far.
        about: Facts about the machine and the call, by name.
    """
    from limner.files.atomic import write_atomically  # imports nothing that is slow

    content = {**about, "checks": [asdict(record) for record in records]}
    write_atomically(folder / "gpu_check.json", json.dumps(content, indent=2) + "\n")
    write_atomically(folder / "gpu_check.md", markdown(records, about))


def _mark(finding: Finding) -> str:
    return {True: "", False: "**failed:** ", None: "not measured: "}[finding.passed]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    cells = [heads, ["---"] * len(heads), *rows]
    return [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        for row in cells
    ]
