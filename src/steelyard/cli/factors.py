"""`steelyard factors`: stage one of factor mining."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from steelyard.cli.output import Progress, emit, say, show_table
from steelyard.errors import ConfigError

if TYPE_CHECKING:
    from steelyard.factors.artefact import Artefact
    from steelyard.factors.information import Coefficient
    from steelyard.factors.mine import Mined
    from steelyard.factors.settings import Distillation
    from steelyard.types import Panel

app = cyclopts.App(name="factors", help="Factors: distil many features of a market into a few.")


@app.command
def mine(
    data: str,
    *,
    train: str,
    validate: str,
    out: Path,
    updates: int | None = None,
    seed: int = 0,
    features: Annotated[list[str] | None, Parameter(negative=())] = None,
    windows: str | None = None,
    correlation: float | None = None,
    published: bool = False,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    json: bool = False,
) -> int:
    """Distil features into factors by a recurrent network, and write them for stage two.

    Prints what every factor knows of the return ahead, and how all compare with ridge regression.

    Parameters
    ----------
    data
        One asset, as `source:request` (`books:FILE`, `book:imbalance?rows=20000`).
    train
        Rows to fit on, as `START..END`: days, or instants such as 2021-04-07T11:32:42.
    validate
        Later rows, which choose when to stop.
    out
        Folder of the artefact; one that holds factors already is not overwritten.
    updates
        Most updates of the network.
    seed
        Of the first weights and of the sequences drawn.
    features
        What is distilled, may be repeated; all 101 alphas if omitted.
    windows
        Rows of the windows ahead that factors foresee, one factor each, as `10,20,30`.
    correlation
        Of features that correlate more than this, keep one.
    published
        Sizes of the published kit; for an accelerator.
    set_
        A setting of the distillation, as `width=64`; may be repeated.
    json
        Print one JSON document on stdout.
    """
    _require_free(out)
    found = _mined(
        data,
        (_period("--train", train), _period("--validate", validate)),
        settings=_settings(updates, set_ or (), published=published),
        horizons=_horizons(windows),
        features=tuple(features or ()),
        correlation=correlation,
        seed=seed,
    )
    kept = _kept(found, out)
    _emit(found, kept, out) if json else _show(found, kept, out)
    return 0


def _kept(found: Mined, out: Path) -> Artefact:
    from steelyard.factors.artefact import save

    return save(found.artefact, out)


def _mined(data: str, periods: tuple[tuple[str, str], tuple[str, str]], **how: Any) -> Mined:
    """Load, and mine with progress; `how` as `factors.mine` takes it."""
    from steelyard.compilation import use_cache
    from steelyard.data import load
    from steelyard.data.progress import watched
    from steelyard.factors import mine as stage

    use_cache()
    with Progress() as progress:
        with watched(progress):
            panel = load(data)
        train, validate = (_rows(panel, *period) for period in periods)
        return stage.mine(panel, train=train, validate=validate, tell=progress, **how)


def _require_free(out: Path) -> None:
    from steelyard.factors.artefact import FACTS

    if (out / FACTS).exists():
        raise ConfigError(
            f"{out} holds factors already, which a later stage may ask for",
            hint="choose another --out, or delete that folder",
        )


def _period(option: str, words: str) -> tuple[str, str]:
    start, dots, end = (part.strip() for part in words.partition(".."))
    if not (start and dots and end):
        raise ConfigError(
            f"{option} {words} is not START..END", hint=f"{option} 2021-04-07..2021-04-16"
        )
    return start, end


def _rows(panel: Panel, start: str, end: str) -> tuple[int, int]:
    first, last = panel.span(start, end)
    return first, last + 1


def _settings(updates: int | None, assignments: Sequence[str], *, published: bool) -> Distillation:
    from steelyard.benchmark.overrides import override
    from steelyard.cli.settings import split
    from steelyard.factors.settings import Distillation
    from steelyard.factors.settings import published as kit

    changes: dict[str, Any] = dict(split(words, "--set") for words in assignments)
    if updates is not None:
        changes["updates"] = updates
    made: Distillation = override(kit() if published else Distillation(), changes)
    return made


def _horizons(windows: str | None) -> Any:
    from steelyard.factors.labels import Horizons

    if windows is None:
        return Horizons()
    try:
        return Horizons(tuple(int(rows) for rows in windows.split(",")))
    except ValueError:
        raise ConfigError(
            f"--windows {windows} is no list of whole numbers", hint="--windows 10,20,30"
        ) from None


def _emit(found: Mined, kept: Artefact, out: Path) -> None:
    from dataclasses import asdict

    stamps = kept.timestamps
    emit(
        {
            "out": str(out),
            "sha256": kept.sha256,
            "facts": kept.facts,
            "history": [check._asdict() for check in found.history],
            "judged": {
                "start": str(stamps[found.judged[0]]),
                "end": str(stamps[found.judged[1] - 1]),
                "unseen": found.unseen,
            },
            "horizons": found.horizons,
            "information": {
                name: [asdict(one) for one in row]
                for name, row in zip(kept.names, found.information, strict=True)
            },
            "comparison": [asdict(one) for one in found.comparison],
        }
    )


def _show(found: Mined, kept: Artefact, out: Path) -> None:
    from steelyard.factors.artefact import moment

    start, stop = found.judged
    where = "behind validation" if found.unseen else "of validation: no later ones are left"
    first, last = (moment(kept.timestamps[row]) for row in (start, stop - 1))
    say(f"numbers are from rows {where}, {first}..{last}; brackets hold 90 %")
    ahead = [f"{horizon} rows" for horizon in found.horizons]
    show_table(
        [
            {"factor": name, **{key: f"{one.value:.3f}" for key, one in zip(ahead, row)}}
            for name, row in zip(kept.names, found.information)
        ],
        ("factor", *ahead),
        "Rank correlation with the return ahead",
    )
    rows = [
        {
            "ahead": key,
            "factors": _written(one.factors),
            "ridge": _written(one.ridge),
            "difference": _written(one.difference),
        }
        for key, one in zip(ahead, found.comparison)
    ]
    title = "Best linear readout of the factors, against ridge regression on all features"
    show_table(rows, ("ahead", "factors", "ridge", "difference"), title)
    best = found.history[found.best]
    say(f"validation error {best.validation:.4f} after {best.updates} updates")
    say(f"factors: {out}   sha256 {kept.sha256}")
    say(f"rows up to {moment(kept.seen_until)} are in sample: train agents behind them")


def _written(one: Coefficient) -> str:
    known = one.low == one.low
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" if known else f"{one.value:.3f}"
