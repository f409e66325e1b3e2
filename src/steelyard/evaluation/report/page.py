"""The report as one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from steelyard.evaluation.ranking import window_rows, windows
from steelyard.evaluation.report import card
from steelyard.evaluation.report.claims import claims, claims_sentence
from steelyard.evaluation.report.comparison import Comparison, compare
from steelyard.evaluation.report.ensembles import ensembles
from steelyard.evaluation.report.markup import Html, tag
from steelyard.evaluation.report.plot import index_rules
from steelyard.evaluation.report.training import training
from steelyard.evaluation.report.verdict import refusals, verdict
from steelyard.evaluation.report.window import tab_rules, window
from steelyard.evaluation.results import Score

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
)
"""What the page may load: nothing, and no script but its own."""


def render(
    score: Score,
    *,
    bundle: str = "BUNDLE",
    comparisons: Sequence[Comparison] | None = None,
) -> str:
    """The report on a score, as the text of one HTML file.

    Args:
        score: what is reported; every name in it is escaped.
        bundle: directory that the command for verification names.
        comparisons: those of `compare(score)`, where they are at hand.
    """
    comparisons = compare(score) if comparisons is None else comparisons
    sentences = [*verdict(score, comparisons), *claims_sentence(score)]
    parts: list[Html] = [_header(score, sentences)]
    anchors: list[tuple[str, str]] = []
    if found := claims(score):
        anchors.append(("claims", "Claims"))
        parts.append(tag("section", tag("h2", "The paper\u2019s claims"), found, id="claims"))
    for position, comparison in enumerate(comparisons):
        anchor = f"window-{position + 1}"
        anchors.append((anchor, comparison.window if len(comparisons) > 1 else "Result"))
        parts.append(window(score, position, comparison, anchor))
    for anchor, label, section in (
        ("ensembles", "Ensembles", ensembles(score)),
        ("training", "Training", training(score)),
        ("task", "Task", card.task(score)),
        ("conventions", "Conventions", card.conventions(score)),
        ("verify", "Verify", card.verify(score, bundle)),
    ):
        if section:
            anchors.append((anchor, label))
            parts.append(tag("section", tag("h2", label), section, id=anchor))
    body = tag("body", _navigation(anchors), tag("main", *parts), _script_element())
    return f"<!doctype html>\n{tag('html', _head(score, sentences[0]), body, lang='en')}\n"


def _head(score: Score, headline: str) -> Html:
    most = max((len(window_rows(score, n)) for n in range(len(windows(score)))), default=1)
    style = _resource("report.css") + index_rules(most) + tab_rules(most)
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY.format(digest=_digest())),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="description", content=headline),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{score.task} · Steelyard"),
        tag("style", Html(style)),
    )


def _header(score: Score, sentences: Sequence[str]) -> Html:
    """Title, verdict and the facts that every number depends on."""
    refused = refusals(score)
    headline, *others = sentences
    points = [tag("li", _curled(one)) for one in others if one not in refused]
    notes = [tag("p", "Note: ", note, class_="warning") for note in score.notes]
    notes += [tag("p", _curled(one), class_="warning") for one in refused]
    summary = str(score.card.get("summary", ""))
    code = tag("code", score.fingerprint)
    return tag(
        "header",
        tag("p", "Steelyard report · fingerprint ", code, class_="eyebrow"),
        tag("h1", score.task),
        tag("p", summary, class_="summary") if summary else Html(""),
        *notes,
        tag("p", _curled(headline), class_="verdict"),
        tag("ul", *points, class_="verdict-points") if points else Html(""),
        card.key_facts(score),
    )


def _curled(sentence: str) -> str:
    return sentence.replace("'", "\u2019")


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
