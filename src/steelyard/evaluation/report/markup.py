"""HTML that cannot be written wrongly: every text is escaped unless it was made by `tag`."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

from steelyard.evaluation.report.numbers import plain

_VOID = frozenset({"meta", "link", "input", "br", "hr"})


class Html(str):
    """Markup: the only kind of text that `tag` does not escape."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | float | bool | None) -> Html:
    """An element; contents and attributes are escaped unless they are `Html`.

    Args:
        name: of the element.
        content: texts and elements.
        attributes: `class_` is class, `data_metric` is data-metric; None and False leave one out,
            True writes it without a value.
    """
    written = "".join(
        _attribute(key, value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def join(content: Iterable[str]) -> Html:
    """One piece of markup after the other; texts are escaped."""
    return Html("".join(one if isinstance(one, Html) else text(one) for one in content))


def text(value: str) -> Html:
    """Text as markup, control characters replaced."""
    lines = value.split("\n")
    return Html("\n".join(html.escape(plain(line), quote=True) for line in lines))


def data(value: Any) -> Html:
    """A JSON document inside the page, for the script; it cannot end its element early."""
    document = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for letter in "<>&":
        document = document.replace(letter, f"\\u{ord(letter):04x}")
    return Html(f'<script type="application/json">{document}</script>')


def _attribute(key: str, value: str | float | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    shown = value if isinstance(value, str) else f"{value:g}"
    return f' {name}="{text(shown)}"'
