"""The 101 formulaic alphas of Kakushadze (2016, appendix A.1), numbers 1 to 30.

Windows stand as printed and are floored. What the series mean on stocks and on books, and what
happens without a cross-section, is in `features.series`; how ambiguous formulas are read stands
on the page "101 alphas" of the documentation.
"""

from __future__ import annotations

from steelyard.features.expressions import (
    absolute,
    adv,
    close,
    correlation,
    covariance,
    delay,
    delta,
    high,
    log,
    low,
    open_,
    product,
    rank,
    returns,
    scale,
    sign,
    signed_power,
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
    "alpha_001",
    rank(ts_argmax(signed_power(where(returns < 0, stddev(returns, 20), close), 2.0), 5)) - 0.5,
    unit="ratio",
    summary="Which of five days had the highest close, or volatility where it fell.",
)
formula(
    "alpha_002",
    -1 * correlation(rank(delta(log(volume), 2)), rank((close - open_) / open_), 6),
    unit="ratio",
    summary="Volume growth against the move of the day, negated.",
)
formula(
    "alpha_003",
    -1 * correlation(rank(open_), rank(volume), 10),
    unit="ratio",
    summary="Open against volume, negated.",
)
formula(
    "alpha_004",
    -1 * ts_rank(rank(low), 9),
    unit="level",
    summary="Rank of the low in nine days, negated.",
)
formula(
    "alpha_005",
    rank(open_ - ts_sum(vwap, 10) / 10) * (-1 * absolute(rank(close - vwap))),
    unit="level",
    summary="Open above its mean price, times distance of close from vwap.",
)
formula(
    "alpha_006",
    -1 * correlation(open_, volume, 10),
    unit="ratio",
    summary="Open against volume, own prices, negated.",
)
formula(
    "alpha_007",
    where(
        adv(20) < volume,
        -1 * ts_rank(absolute(delta(close, 7)), 60) * sign(delta(close, 7)),
        -1.0,
    ),
    unit="ratio",
    summary="Reversal of a large move of seven days on high volume.",
)
formula(
    "alpha_008",
    -1
    * rank(
        ts_sum(open_, 5) * ts_sum(returns, 5) - delay(ts_sum(open_, 5) * ts_sum(returns, 5), 10)
    ),
    unit="level",
    summary="Change of open times return over ten days, negated.",
)
formula(
    "alpha_009",
    where(
        ts_min(delta(close, 1), 5) > 0,
        delta(close, 1),
        where(ts_max(delta(close, 1), 5) < 0, delta(close, 1), -1 * delta(close, 1)),
    ),
    unit="price_change",
    summary="The move of the day, reversed unless five days agree in sign.",
)
formula(
    "alpha_010",
    rank(
        where(
            ts_min(delta(close, 1), 4) > 0,
            delta(close, 1),
            where(ts_max(delta(close, 1), 4) < 0, delta(close, 1), -1 * delta(close, 1)),
        )
    ),
    unit="level",
    summary="Rank of the move of the day, reversed unless four days agree in sign.",
)
formula(
    "alpha_011",
    (rank(ts_max(vwap - close, 3)) + rank(ts_min(vwap - close, 3))) * rank(delta(volume, 3)),
    unit="level",
    summary="Extremes of vwap less close, times volume growth.",
)
formula(
    "alpha_012",
    sign(delta(volume, 1)) * (-1 * delta(close, 1)),
    unit="price_change",
    summary="The move of the day against the direction of volume.",
)
formula(
    "alpha_013",
    -1 * rank(covariance(rank(close), rank(volume), 5)),
    unit="level",
    summary="Close with volume, covariance of ranks, negated.",
)
formula(
    "alpha_014",
    -1 * rank(delta(returns, 3)) * correlation(open_, volume, 10),
    unit="ratio",
    summary="Change of the return times open against volume, negated.",
)
formula(
    "alpha_015",
    -1 * ts_sum(rank(correlation(rank(high), rank(volume), 3)), 3),
    unit="level",
    summary="High against volume, ranked and summed over three days, negated.",
)
formula(
    "alpha_016",
    -1 * rank(covariance(rank(high), rank(volume), 5)),
    unit="level",
    summary="High with volume, covariance of ranks, negated.",
)
formula(
    "alpha_017",
    -1
    * rank(ts_rank(close, 10))
    * rank(delta(delta(close, 1), 1))
    * rank(ts_rank(volume / adv(20), 5)),
    unit="level",
    summary="High price times acceleration times unusual volume, negated.",
)
formula(
    "alpha_018",
    -1 * rank(stddev(absolute(close - open_), 5) + (close - open_) + correlation(close, open_, 10)),
    unit="level",
    summary="Size of the day's body, its spread and its link to the open, negated.",
)
formula(
    "alpha_019",
    -1 * sign((close - delay(close, 7)) + delta(close, 7)) * (1 + rank(1 + ts_sum(returns, 250))),
    unit="level",
    summary="Reversal of a week, stronger after a good year.",
)
formula(
    "alpha_020",
    -1 * rank(open_ - delay(high, 1)) * rank(open_ - delay(close, 1)) * rank(open_ - delay(low, 1)),
    unit="level",
    summary="Open against yesterday's high, close and low, negated.",
)
formula(
    "alpha_021",
    where(
        ts_sum(close, 8) / 8 + stddev(close, 8) < ts_sum(close, 2) / 2,
        -1.0,
        where(
            ts_sum(close, 2) / 2 < ts_sum(close, 8) / 8 - stddev(close, 8),
            1.0,
            where(volume / adv(20) < 1, -1.0, 1.0),
        ),
    ),
    unit="ratio",
    summary="Two-day mean outside an eight-day band; inside it, volume.",
)
formula(
    "alpha_022",
    -1 * (delta(correlation(high, volume, 5), 5) * rank(stddev(close, 20))),
    unit="ratio",
    summary="Change of high against volume, times volatility, negated.",
)
formula(
    "alpha_023",
    where(ts_sum(high, 20) / 20 < high, -1 * delta(high, 2), 0.0),
    unit="price_change",
    summary="Reversal of the high above its twenty-day mean.",
)
formula(
    "alpha_024",
    where(
        delta(ts_sum(close, 100) / 100, 100) / delay(close, 100) > 0.05,
        -1 * delta(close, 3),
        -1 * (close - ts_min(close, 100)),
    ),
    unit="price_change",
    summary="Distance from the 100-day low in slow markets, else three-day reversal.",
)
formula(
    "alpha_025",
    rank(-1 * returns * adv(20) * vwap * (high - close)),
    unit="level",
    summary="Fall of the day in traded value, times what was given up from the high.",
)
formula(
    "alpha_026",
    -1 * ts_max(correlation(ts_rank(volume, 5), ts_rank(high, 5), 5), 3),
    unit="ratio",
    summary="Highest link of volume and high in three days, negated.",
)
formula(
    "alpha_027",
    where(
        rank(ts_sum(correlation(rank(volume), rank(vwap), 6), 2) / 2.0) > 0.5,
        -1.0,
        1.0,
    ),
    unit="ratio",
    summary="-1 where volume and vwap move together more than elsewhere, else 1.",
)
formula(
    "alpha_028",
    scale(correlation(adv(20), low, 5) + (high + low) / 2 - close),
    unit="ratio",
    summary="Volume against low plus middle of the day over close, scaled.",
)
formula(
    "alpha_029",
    ts_min(
        product(
            rank(
                rank(scale(log(ts_sum(ts_min(rank(rank(-1 * rank(delta(close - 1, 5)))), 2), 1))))
            ),
            1,
        ),
        5,
    )
    + ts_rank(delay(-1 * returns, 6), 5),
    unit="level",
    summary="Smallest nested rank of the fall in five days, plus rank of an old fall.",
)
formula(
    "alpha_030",
    (
        1.0
        - rank(
            sign(close - delay(close, 1))
            + sign(delay(close, 1) - delay(close, 2))
            + sign(delay(close, 2) - delay(close, 3))
        )
    )
    * ts_sum(volume, 5)
    / ts_sum(volume, 20),
    unit="level",
    summary="Few rises in three days, times recent share of volume.",
)
