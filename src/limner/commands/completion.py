"""Shell completion of `limner` commands and their keys; Hydra completes `limner train`.

Hydra's own code for bash, zsh and fish (`limner train -sc install=bash`) calls
`limner -sc query=bash` with the line typed so far in COMP_LINE.
"""

__all__ = ["complete"]

import dataclasses
from collections.abc import MutableMapping

from limner.commands.parser import COMMANDS


def complete(environ: MutableMapping[str, str]) -> bool:
    """Print the completions of a line; return False if Hydra has to print them.

    In that case COMP_LINE is changed into a line that Hydra understands, without the word `train`.

    Args:
        environ: Environment with COMP_LINE.
    """
    line = environ.get("COMP_LINE", "")
    program, *words = line.split() or ["limner"]
    if not words or (len(words) == 1 and not line[-1].isspace()):
        print(" ".join(["train", *COMMANDS]))
        return True
    command, *rest = words
    if command == "train":
        environ["COMP_LINE"] = " ".join([program, *rest]) + " " * (line[-1].isspace())
        return False
    last = "" if line[-1].isspace() else words[-1]
    if command in COMMANDS and "=" not in last:
        keys = [
            field.name for keys in COMMANDS[command].options for field in dataclasses.fields(keys)
        ]
        print(" ".join(f"{key}=" for key in dict.fromkeys(keys)))
    return True
