"""What the pages say is so: their code runs, their output comes, nothing public is missing."""

import ast
import contextlib
import doctest
import io
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from steelyard import registry

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]
)

AGENT_PAGES = sorted(path.name for path in (DOCS / "agents").glob("*.md"))

FENCE = re.compile(
    r"^(?:<!-- (?P<how>not run|slow): (?P<reason>[^\n]+?) -->\n)?"
    r"```(?P<kind>\w+)[^\n]*\n(?P<code>.*?)^```$(?P<answered>\n+```text$)?",
    re.MULTILINE | re.DOTALL,
)
"""A block of code, why it is slow or not run, and whether its output stands right behind it."""


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str
    code: str
    reason: str = ""
    slow: bool = False
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str) -> list[Block]:
    """The Python and console blocks of a page, with the output that it promises for them."""
    found, position = [], 0
    while match := FENCE.search(text, position):
        kind, line = match["kind"], text.count("\n", 0, match.start("code")) + 1
        position = match.end("answered") - len("```text") if match["answered"] else match.end()
        output = None
        if match["answered"]:
            answer = FENCE.search(text, position)
            assert answer, f"{page}:{line} has an output block that does not end"
            output = answer["code"]
        if kind in ("python", "console"):
            reason, slow = match["reason"] or "", match["how"] == "slow"
            found.append(Block(page, line, kind, match["code"], reason, slow, output))
    return found


def all_blocks() -> Iterator[Block]:
    for page in PAGES:
        yield from blocks(page, (REPOSITORY / page).read_text(encoding="utf-8"))


def run_blocks(found: list[Block], *, slow: bool = False) -> None:
    """Run the blocks of a page in order and in one namespace; raise where one does not hold."""
    namespace: dict[str, Any] = {"__name__": "documentation"}
    for block in found:
        if block.reason and not (slow and block.slow):
            continue
        if block.kind == "python":
            source = "\n" * (block.line - 1) + block.code
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                exec(compile(source, block.page, "exec"), namespace)
            require_output(str(block), block.output, stdout.getvalue())
        else:
            for command, output in commands(block.code):
                require_output(f"{block}: {command}", output or None, run_command(command))


def commands(code: str) -> Iterator[tuple[str, str]]:
    """`$ command` lines with the output below each."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def run_command(command: str) -> str:
    """Run `steelyard ...` in this process; its standard output."""
    from steelyard.cli import main

    words = shlex.split(command)
    assert words[0] == "steelyard", f"a console block runs steelyard, not {words[0]}"
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        status = main(words[1:])
    assert status == 0, f"`{command}` ends with status {status}: {stdout.getvalue()}"
    return stdout.getvalue()


def require_output(where: str, wanted: str | None, got: str) -> None:
    """`wanted` may leave things out with `...`; None promises nothing."""
    rules = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if wanted is not None and not doctest.OutputChecker().check_output(wanted, got, rules):
        pytest.fail(f"{where} promises\n{wanted}\nand gives\n{got}", pytrace=False)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, a wide plain terminal, and rooms that forget what a page adds to them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    for room in registry.ROOMS:
        monkeypatch.setitem(registry._members, room, dict(registry.members(room)))


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in all_blocks()))
def test_the_code_of_a_page_runs_and_gives_what_it_promises(page: str) -> None:
    run_blocks(blocks(page, (REPOSITORY / page).read_text(encoding="utf-8")))


@pytest.mark.slow
@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("page", dict.fromkeys(b.page for b in all_blocks() if b.slow))
def test_the_slow_code_of_a_page_runs_too(page: str) -> None:
    run_blocks(blocks(page, (REPOSITORY / page).read_text(encoding="utf-8")), slow=True)


@pytest.mark.parametrize("block", [b for b in all_blocks() if b.reason], ids=str)
def test_code_that_is_not_run_still_parses(block: Block) -> None:
    if block.kind == "python":
        compile(block.code, block.page, "exec")
    else:
        for command, _ in commands(block.code):
            parse_command(command)
    pytest.skip(f"{'slow' if block.slow else 'not run'}: {block.reason}")


def parse_command(command: str) -> None:
    """Raises where there is no such command or option."""
    from steelyard.cli import app

    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


PLANTED = """
```python
x = 1
print(x + {more})
```

```text
2
```
"""


def test_a_page_whose_output_is_wrong_is_caught() -> None:
    run_blocks(blocks("a.md", PLANTED.format(more=1)))
    with pytest.raises(pytest.fail.Exception, match="promises"):
        run_blocks(blocks("a.md", PLANTED.format(more=2)))


def test_a_page_whose_code_does_not_run_is_caught() -> None:
    with pytest.raises(NameError):
        run_blocks(blocks("a.md", PLANTED.format(more="y")))


def test_a_block_is_skipped_only_with_a_reason() -> None:
    page = "<!-- not run: takes minutes -->\n```python\n1 / 0\n```\n\n```python\n1 / 0\n```\n"
    assert [block.reason for block in blocks("a.md", page)] == ["takes minutes", ""]


def test_slow_code_runs_only_where_slow_code_is_asked_for() -> None:
    page = blocks("a.md", "<!-- slow: trains for a minute -->\n```python\n1 / 0\n```\n")
    run_blocks(page)
    with pytest.raises(ZeroDivisionError):
        run_blocks(page, slow=True)


def test_a_console_block_holds_commands_and_their_output() -> None:
    assert list(commands("$ steelyard tasks\nstock\n$ steelyard agents\n")) == [
        ("steelyard tasks", "stock\n"),
        ("steelyard agents", ""),
    ]


def verbs(app: Any, path: str = "steelyard") -> Iterator[str]:
    """Every command of a command line, in full."""
    for name in app:
        if not name.startswith("-"):
            yield f"{path} {name}"
            yield from verbs(app[name], f"{path} {name}")


def undocumented(app: Any, text: str) -> list[str]:
    return [verb for verb in verbs(app) if verb not in text]


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    from steelyard.cli import app

    assert undocumented(app, (DOCS / "cli.md").read_text(encoding="utf-8")) == []


def test_a_command_that_is_not_on_the_page_is_caught() -> None:
    from cyclopts import App

    app, data = App(name="steelyard"), App(name="data")
    app.command(data)
    data.command(lambda: None, name="show")
    data.command(lambda: None, name="burn")
    assert undocumented(app, "steelyard data show") == ["steelyard data burn"]


def settings_in(table: str) -> dict[str, Any]:
    """Names and values of the rows "| `name` | value | ..." of a table, several with commas."""
    found: dict[str, Any] = {}
    for names, value in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|`]+) \|", table, re.MULTILINE):
        words = re.findall(r"\w+", names)
        known = float(value) if value == "inf" else ast.literal_eval(value)
        found |= zip(words, known if len(words) > 1 else [known], strict=True)
    return found


def settings_on(page: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables below "Settings" and "Settings of `agent`" of a page: (agent, its settings)."""
    text = (DOCS / "agents" / page).read_text(encoding="utf-8")
    parts = re.split(r"^#+ Settings(?: of `(\w+)`)?\n", text, flags=re.MULTILINE)
    for agent, part in zip(parts[1::2], parts[2::2], strict=True):
        yield agent or page.removesuffix(".md"), settings_in(part.split("\n#")[0])


def settings_of(agent: Any) -> dict[str, Any]:
    """What can be set on an agent, without its members."""
    names = (name for name in agent.__dataclass_fields__ if name != "population")
    return {name: getattr(agent, name) for name in names}


def test_the_settings_of_agents_are_those_on_their_pages() -> None:
    from steelyard.agents.ensemble import Ensemble
    from steelyard.agents.population import Population
    from steelyard.agents.ppo import PPO

    population = Population(((PPO(), 1),))
    known = {"ensemble": Ensemble(population), "population": population}
    learners = {
        name: member.value()
        for name, member in registry.members("agents").items()
        if isinstance(member.value, type) and getattr(member.value, "learns", True)
    }
    told = {agent: found for page in AGENT_PAGES for agent, found in settings_on(page)}
    variants = {"double_dqn", "dueling_dqn"}  # DQN with a switch
    assert told.keys() == learners.keys() - variants | known.keys()
    for name, found in told.items():
        wanted = settings_of((learners | known)[name])
        wanted.pop("groups", None)
        assert found == wanted, name


def test_every_agent_without_learning_is_on_its_page() -> None:
    page = (DOCS / "agents" / "classic.md").read_text(encoding="utf-8")
    members = registry.members("agents").items()
    classic = [name for name, member in members if not getattr(member.value, "learns", True)]
    assert classic
    assert [name for name in classic if f"| `{name}` |" not in page] == []


def pages_in_navigation(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for target in entry.values():
            yield from pages_in_navigation(target) if isinstance(target, list) else [target]


def test_the_navigation_leads_to_every_page() -> None:
    settings = tomllib.loads((REPOSITORY / "zensical.toml").read_text(encoding="utf-8"))
    listed = list(pages_in_navigation(settings["project"]["nav"]))
    assert sorted(listed) == sorted(
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")
    )


def test_every_room_has_its_reference() -> None:
    made = runpy.run_path(str(REPOSITORY / "tools" / "pages.py"))
    rooms = {
        path.stem for path in made["PACKAGE"].iterdir() if not path.name.startswith((".", "_"))
    }
    told_elsewhere = {"bench", "cli", "tasks", "py"}  # the page of the command line; py.typed
    assert {room for _, on in made["REFERENCE"].values() for room in on} == rooms - told_elsewhere


def test_generated_pages_are_current() -> None:
    pages = runpy.run_path(str(REPOSITORY / "tools" / "pages.py"))["pages"]()
    stale = [
        path
        for path, text in pages.items()
        if not (DOCS / path).is_file() or (DOCS / path).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run `make docs`"


def test_the_notice_attributes_every_bundled_set() -> None:
    from steelyard.data import datasets

    notice = " ".join((REPOSITORY / "NOTICE").read_text(encoding="utf-8").split())
    cards = datasets()
    assert cards
    assert [card.name for card in cards if card.attribution not in notice] == []


def test_the_readme_gets_to_the_point() -> None:
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    assert any("make demo" in line for line in lines[:10])
    assert any("make test" in line for line in lines[:10])
    assert "$ steelyard run stock-dow30" in lines[:20]
    output = lines[lines.index("$ steelyard run stock-dow30") + 1 : 25]
    assert "```" not in output[:5]
    assert "\nmake test " in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")


def test_no_page_is_unfinished() -> None:
    texts = {page: (REPOSITORY / page).read_text(encoding="utf-8") for page in PAGES}
    assert [page for page, text in texts.items() if "TODO" in text] == []


def test_a_command_that_does_not_parse_is_caught() -> None:
    import cyclopts

    parse_command("steelyard run stock-dow30 --seeds 3")
    for command in ("steelyard rum stock-dow30", "steelyard run stock-dow30 --seed 3"):
        with pytest.raises(cyclopts.CycloptsError):
            parse_command(command)


def test_contributing_stays_a_page() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 40
