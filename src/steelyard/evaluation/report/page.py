"""The report as one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from steelyard.evaluation.ranking import window_rows, windows
from steelyard.evaluation.report import sections
from steelyard.evaluation.report.charts import index_rules
from steelyard.evaluation.report.markup import Html, join, tag, text
from steelyard.evaluation.report.verdict import compare, verdict
from steelyard.evaluation.results import Score

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
"""What the page may load: nothing, and no script but its own."""


def render(score: Score, *, bundle: str = "BUNDLE") -> str:
    """The report on a score, as the text of one HTML file.

    Args:
        score: what is reported; every name in it is escaped.
        bundle: directory that the command for verification names.
    """
    comparisons = compare(score)
    sentences = verdict(score, comparisons)
    parts: list[Html] = [sections.header(score, sentences)]
    anchors: list[tuple[str, str]] = []
    for position, comparison in enumerate(comparisons):
        anchor = f"window-{position + 1}"
        anchors.append((anchor, comparison.window if len(comparisons) > 1 else "Result"))
        parts.append(sections.window(score, position, comparison, anchor))
    for anchor, label, section in (
        ("training", "Training", sections.training(score)),
        ("task", "Task", sections.task(score)),
        ("conventions", "Conventions", sections.conventions(score)),
        ("verify", "Verify", sections.verify(score, bundle)),
    ):
        if section:
            anchors.append((anchor, label))
            parts.append(tag("section", tag("h2", label), section, id=anchor))
    body = tag("body", _navigation(anchors), tag("main", *parts), _script_element())
    return f"<!doctype html>\n{tag('html', _head(score, sentences[0]), body, lang='en')}\n"


def _head(score: Score, headline: str) -> Html:
    most = max((len(window_rows(score, n)) for n in range(len(windows(score)))), default=1)
    style = _resource("report.css") + index_rules(most) + sections.tab_rules(most)
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag(
            "meta", http_equiv="Content-Security-Policy", content=POLICY.format(digest=_digest())
        ),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="description", content=headline),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{score.task} · Steelyard"),
        tag("style", Html(style)),
    )


def _navigation(anchors: Sequence[tuple[str, str]]) -> Html:
    links = [tag("a", label, href=f"#{anchor}") for anchor, label in anchors]
    return tag("nav", tag("b", "Steelyard"), *links)


def _script_element() -> Html:
    return tag("script", Html(_resource("report.js")))


def _digest() -> str:
    return base64.b64encode(hashlib.sha256(_resource("report.js").encode()).digest()).decode()


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
