"""`steelyard data`: data sets, their cards, storing and checking data."""

from __future__ import annotations

from pathlib import Path

import cyclopts

from steelyard.cli.output import Progress, emit, say, show_card, show_table

app = cyclopts.App(name="data", help="Data sets: list them, show a card, keep a copy, check.")


@app.command(name="list")
def list_sets(*, json: bool = False) -> None:
    """List the bundled data sets and the panels in the local store.

    Parameters
    ----------
    json
        Print one JSON document on stdout.
    """
    from steelyard.data import Store, datasets

    rows = [
        {"name": f"bundled:{card.name}", "summary": card.summary, "rows": card.rows}
        for card in datasets()
    ]
    rows += [
        {
            "name": f"stored:{kept.sha256[:12]}",
            "summary": f"{kept.name}, {kept.start}..{kept.end}",
            "rows": kept.rows,
        }
        for kept in Store().manifests()
    ]
    emit(rows) if json else show_table(rows, ("name", "rows", "summary"))


@app.command(name="show")
def show_set(name: str, *, json: bool = False) -> None:
    """Show the card of a bundled data set: origin, licence, adjustments, known flaws.

    Parameters
    ----------
    name
        Name of the set, with or without `bundled:`.
    json
        Print one JSON document on stdout.
    """
    from steelyard.data import show

    card = show(name.removeprefix("bundled:")).to_dict()
    emit(card) if json else show_card(card)


@app.command
def fetch(address: str, *, licence: str = "not stated", json: bool = False) -> None:
    """Load data from a source and keep a checked copy in the local store.

    Parameters
    ----------
    address
        What `load` takes, such as `files:prices.csv` or `synthetic:momentum?seed=3`.
    licence
        Terms of the data, kept beside it.
    json
        Print one JSON document on stdout.
    """
    from steelyard.data import Store, load
    from steelyard.data.progress import watched

    with Progress() as progress, watched(progress):
        panel = load(address)
    sha = Store().put(panel, licence=licence, origin=address)
    facts = {"name": panel.name, "sha256": sha, "rows": len(panel), "assets": list(panel.assets)}
    emit(facts) if json else show_card(facts)


@app.command
def check(address: str, *, exchange: str = "XNYS", json: bool = False) -> int:
    """Report the quality of data: gaps, bad prices, splits; exit 1 if there are errors.

    Parameters
    ----------
    address
        A file or folder of prices, or what `load` takes (`bundled:NAME`, `books:FILE`).
    exchange
        Calendar to hold the days against; `none` for markets that never close.
    json
        Print one JSON document on stdout.
    """
    from steelyard.data import check as check_panel
    from steelyard.data import check_file, load
    from steelyard.data.book_sources import check_book_file
    from steelyard.data.progress import watched

    calendar = None if exchange == "none" else exchange
    path = address.removeprefix("files:")
    with Progress() as progress, watched(progress):
        if Path(path).exists():
            report = check_file(path, exchange=calendar)
        elif address.startswith(("books:", "lobster:")):
            report = check_book_file(address)
        else:
            report = check_panel(load(address), exchange=calendar)
    if json:
        emit(report.to_dict())
    else:
        columns = ("severity", "kind", "asset", "first", "count", "hint")
        shown = [{name: getattr(found, name) for name in columns} for found in report.findings]
        if shown:
            show_table(shown, columns)
        say(
            f"{report.name}: {report.rows} rows, {report.assets} assets, "
            f"{report.start}..{report.end}: " + ("clean" if report.clean else "see above")
        )
    return 1 if any(found.severity == "error" for found in report.findings) else 0
