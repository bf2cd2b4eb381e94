"""Let a browser break long words of code after a dot, an underscore, a slash or an equals sign."""

import re

from sphinx.application import Sphinx

CODE = re.compile(r'(?<=<span class="pre">)[^<]{12,}(?=</span>)')
"""Text of inline code."""


def setup(app: Sphinx) -> dict[str, object]:
    app.connect("html-page-context", _add_breaks)
    return {"parallel_read_safe": True}


def _add_breaks(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    if context.get("body"):
        context["body"] = CODE.sub(
            lambda code: re.sub(r"([._/=,])(?=[\w$\[])", r"\1<wbr>", code[0]), context["body"]
        )
