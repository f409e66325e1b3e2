"""`steelyard tasks`, `agents`, `features`, `metrics`: list a room, or show one card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from steelyard.cli.output import emit, show_card, show_table

if TYPE_CHECKING:
    from steelyard.types import Facts


def tasks(name: str | None = None, *, json: bool = False) -> None:
    """List the tasks, or show the card of one.

    Parameters
    ----------
    name
        A task; all if omitted.
    json
        Print one JSON document on stdout.
    """
    _show("tasks", name, json, lambda member: member.value.card())


def agents(name: str | None = None, *, json: bool = False) -> None:
    """List the agents, or show one with its settings.

    Parameters
    ----------
    name
        An agent; all if omitted.
    json
        Print one JSON document on stdout.
    """
    from steelyard.benchmark import settings

    def card(member: Any) -> Facts:
        return {
            "name": member.name,
            "summary": member.summary,
            "learns": getattr(member.value, "learns", True),
            "settings": settings(member.value()),
            "about": _paragraphs(member.value.__doc__),
        }

    _show("agents", name, json, card)


def features(name: str | None = None, *, json: bool = False) -> None:
    """List the features, or show one.

    Parameters
    ----------
    name
        A feature; all if omitted.
    json
        Print one JSON document on stdout.
    """

    def card(member: Any) -> Facts:
        feature = member.value
        facts = {key: getattr(feature, key) for key in ("unit", "warmup", "scope")}
        return {"name": member.name, "summary": member.summary, **facts}

    _show("features", name, json, card, extra=("unit", "warmup", "scope"))


def metrics(name: str | None = None, *, json: bool = False) -> None:
    """List the metrics, or show the conventions of one.

    Parameters
    ----------
    name
        A metric; all if omitted.
    json
        Print one JSON document on stdout.
    """
    from steelyard.metrics import metric_card

    _show("metrics", name, json, lambda m: {"name": m.name, **metric_card(m.name)})


def _show(
    room: str,
    name: str | None,
    as_json: bool,
    card: Callable[[Any], Facts],
    extra: tuple[str, ...] = (),
) -> None:
    from steelyard import registry

    if name is not None:
        facts = card(registry.card(room, name))
        emit(facts) if as_json else show_card(facts)
        return
    rows: list[Mapping[str, Any]] = []
    for member in registry.members(room).values():
        facts = card(member) if extra or as_json else {}
        rows.append({**facts, "name": member.name, "summary": member.summary})
    emit(rows) if as_json else show_table(rows, ("name", *extra, "summary"))


def _paragraphs(doc: str | None) -> str:
    import inspect

    return inspect.cleandoc(doc or "")
