"""The study behind a search: what Optuna proposes, and the file that keeps what came of it.

Finished trials are appended to the file one by one, each in one piece, so that whatever ends a
search, no trial is half there. What is proposed depends on the finished trials and the seed alone:
a search that goes on later goes on as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steelyard.benchmark.overrides import setting
from steelyard.benchmark.search_space import Choice, Range, Space
from steelyard.errors import ConfigError, DependencyError
from steelyard.evaluation.results import Estimate
from steelyard.evaluation.search_files import read_returns, write_returns
from steelyard.evaluation.trials import Moments, Trial, written

if TYPE_CHECKING:
    import optuna

JOURNAL = "search.journal"
"""The file of a study; other tools read it as Optuna's journal storage, study `search`."""

NAME = "search"
CONTRACT = "steelyard"


class Study:
    """A search's finished trials in a file, and the sampler that learns from them.

    Args:
        place: directory of the file; made where missing.
        space: where is searched.
        better: "higher" or "lower".
        contract: what every trial depends on, ready for JSON.
        seed: of the proposals.

    Raises:
        DependencyError: Optuna is not installed.
        ConfigError: the file belongs to another search, or cannot be read or written.
    """

    def __init__(
        self, place: Path, space: Space, better: str, contract: Mapping[str, Any], seed: int
    ) -> None:
        self._optuna = library()
        self._space, self._seed, self._place = space, seed, place
        self._direction = "maximize" if better == "higher" else "minimize"
        with _readable(place), _writable(place):
            place.mkdir(parents=True, exist_ok=True)
            _mend(place / JOURNAL)
            self._study = self._open()
            known = self._study.user_attrs.get(CONTRACT)
            if known is None:
                self._study.set_user_attr(CONTRACT, json.loads(json.dumps(contract)))
        if known is not None:
            require_same(known, json.loads(json.dumps(contract)), place)

    def trials(self) -> list[Trial]:
        """The finished trials, in their order."""
        with _readable(self._place):
            kept = self._study.get_trials(deepcopy=False)
            return [self._restored(number, one) for number, one in enumerate(kept, 1)]

    def propose(self, first: int, count: int) -> list[dict[str, Any]]:
        """Settings to try after the first `first` trials, whatever came of later ones."""
        done = self._study.get_trials(deepcopy=False)[:first]
        words = np.random.SeedSequence([self._seed, first]).generate_state(1)
        draft = self._optuna.create_study(
            direction=self._direction, sampler=_sampler(self._optuna, int(words[0]))
        )
        draft.add_trials(done)
        asked = [draft.ask(self._distributions()) for _ in range(count)]
        return [self._values(one.params) for one in asked]

    def keep(self, trial: Trial) -> None:
        """Append a finished trial to the file; its returns lie in one of their own before that."""
        rows = None if trial.returns is None else len(trial.returns)
        frozen = self._optuna.trial.create_trial(
            state=self._optuna.trial.TrialState["PRUNED" if trial.value is None else "COMPLETE"],
            value=None if trial.value is None else trial.value.value,
            params={
                name: written(value) if isinstance(self._space[name], Choice) else value
                for name, value in trial.settings.items()
            },
            distributions=self._distributions(),
            user_attrs={
                "value": None if trial.value is None else asdict(trial.value),
                "moments": None if trial.moments is None else asdict(trial.moments),
                "note": trial.note,
                "rows": rows,
            },
        )
        with _writable(self._place):
            if trial.returns is not None:
                number = len(self._study.get_trials(deepcopy=False)) + 1
                write_returns(self._place, number, trial.returns)
            self._study.add_trial(frozen)

    def _open(self) -> Any:
        journal = self._optuna.storages.journal
        path = str(self._place / JOURNAL)
        backend = journal.JournalFileBackend(path, lock_obj=journal.JournalFileOpenLock(path))
        return self._optuna.create_study(
            storage=self._optuna.storages.JournalStorage(backend),
            study_name=NAME,
            direction=self._direction,
            load_if_exists=True,
        )

    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        return {name: _distribution(self._optuna, one) for name, one in self._space.items()}

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of the kind that agents have, out of what Optuna stores."""
        found: dict[str, Any] = {}
        for name, where in self._space.items():
            present = where.values[0] if isinstance(where, Choice) else where.low
            found[name] = setting(name, present, params[name])
        return found

    def _restored(self, number: int, frozen: optuna.trial.FrozenTrial) -> Trial:
        known = frozen.user_attrs
        value, moments, rows = known["value"], known["moments"], known.get("rows")
        return Trial(
            self._values(frozen.params),
            None if value is None else Estimate(**value),
            None if moments is None else Moments(**moments),
            known["note"],
            None if rows is None else read_returns(self._place, number, rows),
        )


def require_same(known: Any, contract: Mapping[str, Any], place: Path) -> None:
    """A search goes on only with what it began with.

    Raises:
        ConfigError: naming what has changed.
    """
    was, now = dict(_flat(known)), dict(_flat(contract))
    changed = [name for name in [*was, *now] if was.get(name) != now.get(name)]
    # the fingerprint differs wherever the task or the data do, and says less
    told = [name for name in dict.fromkeys(changed) if name != "fingerprint"] or changed
    if told:
        parts = [f"{name} was {_short(was, name)}, is {_short(now, name)}" for name in told[:3]]
        more = f" and {len(told) - 3} more" if len(told) > 3 else ""
        raise ConfigError(
            f"the search in {place} was begun with something else: {'; '.join(parts)}{more}",
            hint=f"begin another one with --out {place}-2",
        )


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Names like `task.cost` and what they stand for; lists stay whole."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _short(found: Mapping[str, Any], name: str) -> str:
    if name not in found:
        return "not there"
    text = json.dumps(found[name]).strip('"')
    return text if len(text) <= 40 else text[:37] + "..."


def library() -> Any:
    """Optuna.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise DependencyError(
            "a search for hyper-parameters needs Optuna, which is not installed",
            hint="pip install 'steelyard[tune]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _sampler(optuna: Any, seed: int) -> Any:
    """The tree-structured Parzen estimator (Bergstra et al., 2011).

    Trials in work count as bad ones, so that those of a batch keep apart.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _distribution(optuna: Any, where: Range | Choice) -> Any:
    kinds = optuna.distributions
    if isinstance(where, Choice):
        return kinds.CategoricalDistribution([written(value) for value in where.values])
    if where.whole:
        return kinds.IntDistribution(int(where.low), int(where.high), log=where.log)
    return kinds.FloatDistribution(where.low, where.high, log=where.log)


def _mend(file: Path) -> None:
    """Cut off a last line that was not written to its end, as when a machine stops."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("r+b") as journal:
            journal.truncate(whole)


@contextmanager
def _writable(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write {place}: {error.strerror or error}",
            hint="choose another directory with --out",
        ) from error


@contextmanager
def _readable(place: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"the search in {place} is damaged or was not written by Steelyard: "
            f"{type(error).__name__} {error}",
            hint="begin another search with --out",
        ) from error
