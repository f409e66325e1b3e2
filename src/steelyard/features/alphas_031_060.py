"""The 101 formulaic alphas of Kakushadze (2016, appendix A.1), numbers 31 to 60.

Windows stand as printed and are floored. What the series mean on stocks and on books, and what
happens without a cross-section, is in `features.series`; how ambiguous formulas are read stands
on the page "101 alphas" of the documentation.
"""

from __future__ import annotations

from steelyard.features.expressions import (
    absolute,
    adv,
    cap,
    close,
    correlation,
    decay_linear,
    delay,
    delta,
    high,
    indneutralize,
    low,
    open_,
    rank,
    returns,
    scale,
    sign,
    stddev,
    ts_argmax,
    ts_max,
    ts_min,
    ts_rank,
    ts_sum,
    volume,
    vwap,
    where,
)
from steelyard.features.formulas import formula

formula(
    "alpha_031",
    rank(rank(rank(decay_linear(-1 * rank(rank(delta(close, 10))), 10))))
    + rank(-1 * delta(close, 3))
    + sign(scale(correlation(adv(20), low, 12))),
    unit="level",
    summary="Decayed ten-day fall, three-day fall and sign of volume against low.",
)
formula(
    "alpha_032",
    scale(ts_sum(close, 7) / 7 - close) + 20 * scale(correlation(vwap, delay(close, 5), 230)),
    unit="ratio",
    summary="Distance from the week's mean plus slow link of vwap to past closes.",
)
formula(
    "alpha_033",
    rank(-1 * (1 - open_ / close) ** 1),
    unit="level",
    summary="Rank of open over close.",
)
formula(
    "alpha_034",
    rank(1 - rank(stddev(returns, 2) / stddev(returns, 5)) + (1 - rank(delta(close, 1)))),
    unit="level",
    summary="Falling volatility and a fall of the day.",
)
formula(
    "alpha_035",
    ts_rank(volume, 32) * (1 - ts_rank(close + high - low, 16)) * (1 - ts_rank(returns, 32)),
    unit="level",
    summary="High volume, low range position and low return, ranks in time.",
)
formula(
    "alpha_036",
    2.21 * rank(correlation(close - open_, delay(volume, 1), 15))
    + 0.7 * rank(open_ - close)
    + 0.73 * rank(ts_rank(delay(-1 * returns, 6), 5))
    + rank(absolute(correlation(vwap, adv(20), 6)))
    + 0.6 * rank((ts_sum(close, 200) / 200 - open_) * (close - open_)),
    unit="level",
    summary="Five ranks: body against volume, body, old fall, vwap against volume, trend.",
)
formula(
    "alpha_037",
    rank(correlation(delay(open_ - close, 1), close, 200)) + rank(open_ - close),
    unit="level",
    summary="Yesterday's body against close over 200 days, plus the body.",
)
formula(
    "alpha_038",
    -1 * rank(ts_rank(close, 10)) * rank(close / open_),
    unit="level",
    summary="High close in ten days times rise of the day, negated.",
)
formula(
    "alpha_039",
    -1
    * rank(delta(close, 7) * (1 - rank(decay_linear(volume / adv(20), 9))))
    * (1 + rank(ts_sum(returns, 250))),
    unit="level",
    summary="Weekly rise on low volume, stronger after a good year, negated.",
)
formula(
    "alpha_040",
    -1 * rank(stddev(high, 10)) * correlation(high, volume, 10),
    unit="ratio",
    summary="Volatility of the high times high against volume, negated.",
)
formula(
    "alpha_041",
    (high * low) ** 0.5 - vwap,
    unit="price_change",
    summary="Geometric mean of high and low less vwap.",
)
formula(
    "alpha_042",
    rank(vwap - close) / rank(vwap + close),
    unit="level",
    summary="Vwap above close, rank over rank of their sum.",
)
formula(
    "alpha_043",
    ts_rank(volume / adv(20), 20) * ts_rank(-1 * delta(close, 7), 8),
    unit="level",
    summary="Unusual volume times weekly fall, ranks in time.",
)
formula(
    "alpha_044",
    -1 * correlation(high, rank(volume), 5),
    unit="ratio",
    summary="High against rank of volume, negated.",
)
formula(
    "alpha_045",
    -1
    * rank(ts_sum(delay(close, 5), 20) / 20)
    * correlation(close, volume, 2)
    * rank(correlation(ts_sum(close, 5), ts_sum(close, 20), 2)),
    unit="ratio",
    summary="Past price, close against volume and short against long sums, negated.",
)
_bend = (delay(close, 20) - delay(close, 10)) / 10 - (delay(close, 10) - close) / 10
formula(
    "alpha_046",
    where(_bend > 0.25, -1.0, where(_bend < 0, 1.0, -1 * (close - delay(close, 1)))),
    unit="price_change",
    summary="Reversal of the day, unless the trend bent strongly.",
)
formula(
    "alpha_047",
    rank(1 / close) * volume / adv(20) * (high * rank(high - close) / (ts_sum(high, 5) / 5))
    - rank(vwap - delay(vwap, 5)),
    unit="level",
    summary="Cheapness times volume times distance from the high, less rise of vwap.",
)
formula(
    "alpha_048",
    indneutralize(
        correlation(delta(close, 1), delta(delay(close, 1), 1), 250) * delta(close, 1) / close,
        "subindustry",
    )
    / ts_sum((delta(close, 1) / delay(close, 1)) ** 2, 250),
    unit="ratio",
    summary="Autocorrelated move of the day within its class, over a year's variance.",
)
formula(
    "alpha_049",
    where(_bend < -0.1, 1.0, -1 * (close - delay(close, 1))),
    unit="price_change",
    summary="Reversal of the day, or 1 where the trend bends down by 0.1.",
)
formula(
    "alpha_050",
    -1 * ts_max(rank(correlation(rank(volume), rank(vwap), 5)), 5),
    unit="level",
    summary="Highest ranked link of volume and vwap in five days, negated.",
)
formula(
    "alpha_051",
    where(_bend < -0.05, 1.0, -1 * (close - delay(close, 1))),
    unit="price_change",
    summary="Reversal of the day, or 1 where the trend bends down by 0.05.",
)
formula(
    "alpha_052",
    (-1 * ts_min(low, 5) + delay(ts_min(low, 5), 5))
    * rank((ts_sum(returns, 240) - ts_sum(returns, 20)) / 220)
    * ts_rank(volume, 5),
    unit="price_change",
    summary="Fall of the five-day low times a year's return times volume.",
)
formula(
    "alpha_053",
    -1 * delta(((close - low) - (high - close)) / (close - low), 9),
    unit="ratio",
    summary="Change over nine days of where the close stands in the range, negated.",
)
formula(
    "alpha_054",
    -1 * ((low - close) * open_**5) / ((low - high) * close**5),
    unit="ratio",
    summary="Where the close stands in the range, times the fifth power of open over close.",
)
formula(
    "alpha_055",
    -1
    * correlation(
        rank((close - ts_min(low, 12)) / (ts_max(high, 12) - ts_min(low, 12))), rank(volume), 6
    ),
    unit="ratio",
    summary="Position in the twelve-day range against volume, negated.",
)
formula(
    "alpha_056",
    0 - 1 * (rank(ts_sum(returns, 10) / ts_sum(ts_sum(returns, 2), 3)) * rank(returns * cap)),
    unit="level",
    summary="Share of recent returns times return of large assets, negated.",
)
formula(
    "alpha_057",
    0 - 1 * ((close - vwap) / decay_linear(rank(ts_argmax(close, 30)), 2)),
    unit="price_change",
    summary="Close above vwap, over how recent the thirty-day high is, negated.",
)
formula(
    "alpha_058",
    -1
    * ts_rank(
        decay_linear(correlation(indneutralize(vwap, "sector"), volume, 3.92795), 7.89291), 5.50322
    ),
    unit="level",
    summary="Vwap within its sector against volume, decayed and ranked in time, negated.",
)
formula(
    "alpha_059",
    -1
    * ts_rank(
        decay_linear(
            correlation(
                indneutralize(vwap * 0.728317 + vwap * (1 - 0.728317), "industry"), volume, 4.25197
            ),
            16.2289,
        ),
        8.19648,
    ),
    unit="level",
    summary="Vwap within its industry against volume, slower, negated.",
)
formula(
    "alpha_060",
    0
    - 1
    * (
        2 * scale(rank(((close - low) - (high - close)) / (high - low) * volume))
        - scale(rank(ts_argmax(close, 10)))
    ),
    unit="ratio",
    summary="Range position times volume, less recency of the ten-day high, negated.",
)
