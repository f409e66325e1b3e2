"""The pages that are made from the code: `pages()` writes them, `main` builds the site with them.

A page is generated where it would otherwise repeat what stands in the code: the cards of the
bundled data, the table of features, the modules of the reference. A test holds that the committed
pages are current; `make docs` makes them so.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from steelyard import registry
from steelyard.data import Card, datasets

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PACKAGE = REPOSITORY / "src" / "steelyard"

REFERENCE = {
    "words": (
        "Words and errors",
        ("types", "errors", "registry", "home", "compilation", "capacity", "devices"),
    ),
    "data": ("Data", ("data",)),
    "features": ("Features", ("features",)),
    "metrics": ("Metrics", ("metrics",)),
    "market": (
        "Ledger, market, rollout",
        ("ledger", "market", "book", "rollout", "lockstep", "lanes", "lookahead"),
    ),
    "envs": ("Environments", ("envs",)),
    "agents": ("Agents", ("agents",)),
    "past": ("The view of the past, and isolation", ("past", "isolation")),
    "factors": ("Factors", ("factors",)),
    "evaluation": ("Evaluation and benchmark", ("benchmark", "evaluation")),
}
"""Page -> its title and the rooms on it."""


ALPHA = "alpha_"
"""What the names of the 101 alphas begin with; they have a page of their own."""


def pages() -> dict[str, str]:
    """Path below docs/ -> text of every generated page."""
    made = {
        "data/bundled.md": bundled_page(),
        "data/features.md": features_page(),
        "features/alpha-formulas.md": alphas_page(),
    }
    for page, (title, rooms) in REFERENCE.items():
        modules = [module for room in rooms for module in modules_of(room)]
        directives = "".join(f"\n::: {module}\n" for module in modules)
        made[f"reference/{page}.md"] = f"# {title}\n{directives}"
    return made


def modules_of(room: str) -> Iterator[str]:
    """Public modules of a room that say something, the room itself first; packages as a whole."""
    if (PACKAGE / f"{room}.py").is_file():
        yield f"steelyard.{room}"
        return
    files = [*(PACKAGE / room).glob("*.py"), *(PACKAGE / room).glob("*/__init__.py")]
    for path in sorted(files, key=lambda path: path.as_posix().replace("__init__.py", "")):
        named = [
            part for part in path.relative_to(PACKAGE).with_suffix("").parts if part != "__init__"
        ]
        says = path.stem != "__init__" or path.read_text(encoding="utf-8").count("\n") > 2
        if says and not any(part.startswith("_") for part in named):
            yield ".".join(["steelyard", *named])


def bundled_page() -> str:
    """The cards of the bundled sets."""
    cards = datasets()
    rows = [f"| [`{card.name}`](#{card.name}) | {card.summary} |" for card in cards]
    return "\n".join(
        [
            "# Bundled sets",
            "",
            "These sets come with the package, so everything runs without a network. Each is one",
            "Parquet file with its card beside it; loading refuses a file whose sha256 is not the",
            "one on the card. `steelyard data show NAME` prints a card.",
            "",
            "| Name | What it is |",
            "|---|---|",
            *rows,
            "",
            *(line for card in cards for line in card_section(card)),
        ]
    )


def card_section(card: Card) -> Iterator[str]:
    """One card as a section of the page."""
    yield from [f"## {card.name}", "", f"{card.title}.", ""]
    pieces = f"{card.segments} segments" if card.kind == "book" else f"{card.sessions:,} sessions"
    facts = {
        "Period": f"{card.start} to {card.end}, {pieces}, {card.rows:,} rows",
        "Assets": ", ".join(card.assets),
        "Licence": f"{card.licence}. {card.terms}",
        "Attribution": card.attribution,
        "sha256": f"`{card.sha256}`",
    }
    yield from ["| | |", "|---|---|"]
    yield from (f"| {name} | {fact} |" for name, fact in facts.items())
    yield from (f"| `{name}` | {meaning} |" for name, meaning in card.columns.items())
    for title, lines in {
        "Adjustments": card.adjustments,
        "Known flaws": card.flaws,
        "Checked": card.checks,
    }.items():
        yield from ["", f"**{title}**", "", *(f"- {line}" for line in lines)]
    yield from ["", "**Origin**", ""]
    for origin in card.origin:
        yield (
            f"- {origin.publisher}, through {origin.repository}, {origin.files}, "
            f"{origin.commit} (stated licence: {origin.licence})"
        )
    yield ""


def features_page() -> str:
    """The table of features."""
    rows = [
        f"| `{name}` | {member.summary} | {member.facts['unit']} | {member.facts['warmup']} "
        f"| {member.facts['scope']} |"
        for name, member in registry.members("features").items()
        if not name.startswith(ALPHA)
    ]
    return "\n".join(
        [
            "# Features",
            "",
            "A feature is a causal function of a panel. It has no value during its warm-up, which",
            "counts observed rows of an asset: there it is NaN, and networks see the mean of the",
            "training rows. The unit says how a network is fed with it (see `features.scaling`).",
            "",
            "| Name | What it is | Unit | Warm-up | One per |",
            "|---|---|---|---:|---|",
            *rows,
            "",
            "The [101 formulaic alphas](../features/alphas.md) have pages of their own.",
            "",
            "A feature of your own is one decorated function:",
            "[No look-ahead](../concepts/no-look-ahead.md) shows one, and the check it passes.",
            "",
        ]
    )


def alphas_page() -> str:
    """The table of the 101 alphas."""
    rows = []
    for name, member in registry.members("features").items():
        if name.startswith(ALPHA):
            warmup, text = member.facts["warmup"], member.value.function.expression
            rows.append(f"| `{name}` | {member.summary} | `{text}` | {warmup} |")
    return "\n".join(
        [
            "# The formulas of the 101 alphas",
            "",
            "As they are evaluated: windows floored, `a ? b : c` chooses, `adv20` is the mean of",
            "volume over 20 rows. [101 alphas](alphas.md) says what they mean on stocks and books.",
            "",
            "| Alpha | What it is | Formula | Warm-up |",
            "|---|---|---|---:|",
            *rows,
            "",
        ]
    )


def forget() -> None:
    """Remove what earlier builds left, so that every page is built and may warn.

    `--clean` would remove all of `.cache`, where tests keep folders of their own.
    """
    shutil.rmtree(REPOSITORY / "site", ignore_errors=True)
    for path in (REPOSITORY / ".cache").glob("*"):
        if path.is_file():
            path.unlink()


def main() -> int:
    """Write the generated pages and build the site; any warning on the way is a failure."""
    for path, text in pages().items():
        (DOCS / path).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / path).write_text(text, encoding="utf-8")
    forget()
    build = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    run = subprocess.run(build, cwd=REPOSITORY, text=True, capture_output=True)
    said = run.stdout + run.stderr
    sys.stderr.write(said)
    warned = re.search(r"^(griffe:|WARNING|Warning)", said, re.MULTILINE)
    return run.returncode or int(warned is not None)


if __name__ == "__main__":
    sys.exit(main())
