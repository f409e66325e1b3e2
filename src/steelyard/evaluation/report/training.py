"""Training curves of the learned agents, one small chart per logged number."""

from __future__ import annotations

import numpy as np

from steelyard.evaluation.report import series
from steelyard.evaluation.report.charts import update_chart
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import counted, number, title
from steelyard.evaluation.report.plot import Look
from steelyard.evaluation.results import AgentScore, Score


def training(score: Score) -> Html:
    """Training logs of the learned agents; empty where nothing learned."""
    style = series.styles(score)
    learned = [row for row in score.rows if row.stands and any(row.training)]
    found = [_training(row, style[row.agent]) for row in learned]
    if not found:
        return Html("")
    said = (
        "Median and range over seeds and rolling windows (5th to 95th percentile where there are "
        f"more than {series.MANY}), one value per update, not smoothed."
    )
    return join([tag("p", said, class_="lead"), *found])


def _training(row: AgentScore, style: str) -> Html:
    kept = [log for log in row.training if log]
    logs = {name for log in kept for name in log}
    plain = {"percent": False, "zero": False}
    figures = []
    for name in sorted(logs, key=lambda name: (name != "reward", name)):
        one = series.training_series(row, name, style)
        look = Look(f"{name} of {row.agent}", 150, keys=False, ends=False, **plain)
        figures.append(tag("div", tag("h4", title(name)), update_chart(one, look), class_="small"))
    shape = np.max([np.atleast_2d(log).shape for log in kept[0].values()], axis=0)
    said = counted(len(kept), "seed")
    if shape[0] > 1:
        said += f", {counted(int(shape[0]), 'rolling window')}"
    said += f", {counted(int(shape[1]), 'update')}"
    said += f", {number(row.seconds, 0)} s with backtests"
    return join(
        [tag("h3", row.agent, tag("small", said)), tag("div", *figures, class_="multiples")]
    )
