"""The application: its verbs, and what happens when one of them fails."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

import cyclopts

from steelyard.cli import bench, check, data, factors, lists, run, tune, verify
from steelyard.cli.output import emit, show_error
from steelyard.errors import SteelyardError, UnknownNameError
from steelyard.registry import did_you_mean

app = cyclopts.App(
    name="steelyard",
    help="Weigh trading agents: one market, one ledger, one clock, one ruler.",
    version=lambda: version("steelyard"),
    result_action="return_value",
    help_format="plaintext",
)
app.command(run.run)
app.command(tune.tune)
for show in (lists.tasks, lists.agents, lists.features, lists.metrics):
    app.command(show)
app.command(data.app)
app.command(factors.app)
app.command(check.check)
app.command(verify.verify)
app.command(bench.bench)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: a check or a verification found something. 2: the call or its input was wrong; one
    line says what, one line what to type. 130: interrupted.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in tokens
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except SteelyardError as error:
        return _fail(error.message, error.hint, as_json=as_json)
    except cyclopts.CycloptsError as error:
        return _fail(*_explain(error, tokens), as_json=as_json)
    except (RuntimeError, AssertionError):  # JAX, where it finds no device
        missing = _missing_platform()
        if missing is None:
            raise
        return _fail(missing.message, missing.hint, as_json=as_json)
    except KeyboardInterrupt:
        _fail("interrupted before there was a result", "", as_json=as_json)
        return 130
    return code if isinstance(code, int) else 0


def _fail(message: str, hint: str, *, as_json: bool) -> int:
    if as_json:
        emit({"error": message, "hint": hint})
    else:
        show_error(message, hint)
    return 2


def _missing_platform() -> SteelyardError | None:
    """What to say where JAX, if it was used, has none of the devices that it is told to use."""
    if "jax" not in sys.modules:
        return None
    from steelyard.devices import missing_platform

    return missing_platform()


def _explain(error: cyclopts.CycloptsError, tokens: Sequence[str]) -> tuple[str, str]:
    """A one-line message and a hint for a call that does not parse."""
    message = " ".join(str(error).split())
    verbs = [name for name in app if not name.startswith("-")]
    if isinstance(error, cyclopts.UnknownCommandError) and tokens:
        unknown = UnknownNameError(
            f"no command named `{tokens[0]}`", hint=did_you_mean(tokens[0], verbs)
        )
        return unknown.message, unknown.hint
    verb = tokens[0] if tokens and tokens[0] in verbs else ""
    return message, f"steelyard {verb} --help".replace("  ", " ")
