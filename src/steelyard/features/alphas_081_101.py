"""The 101 formulaic alphas of Kakushadze (2016, appendix A.1), numbers 81 to 101.

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
    decay_linear,
    delay,
    delta,
    high,
    indneutralize,
    log,
    low,
    maximum,
    minimum,
    open_,
    product,
    rank,
    scale,
    signed_power,
    ts_argmax,
    ts_argmin,
    ts_max,
    ts_min,
    ts_rank,
    ts_sum,
    volume,
    vwap,
)
from steelyard.features.formulas import formula

formula(
    "alpha_081",
    (
        rank(
            log(
                product(
                    rank(rank(correlation(vwap, ts_sum(adv(10), 49.6054), 8.47743)) ** 4), 14.9655
                )
            )
        )
        < rank(correlation(rank(vwap), rank(volume), 5.07914))
    )
    * -1,
    unit="level",
    summary="-1 where a product of vwap against slow volume is below vwap against volume.",
)
formula(
    "alpha_082",
    (
        minimum(
            rank(decay_linear(delta(open_, 1.46063), 14.8717)),
            ts_rank(
                decay_linear(
                    correlation(
                        indneutralize(volume, "sector"),
                        open_ * 0.634196 + open_ * (1 - 0.634196),
                        17.4842,
                    ),
                    6.92131,
                ),
                13.4283,
            ),
        )
        * -1
    ),
    unit="level",
    summary="Smaller of the rise of open and of volume within its sector against open, negated.",
)
formula(
    "alpha_083",
    (
        rank(delay((high - low) / (ts_sum(close, 5) / 5), 2))
        * rank(rank(volume))
        / ((high - low) / (ts_sum(close, 5) / 5) / (vwap - close))
    ),
    unit="price_change",
    summary="Relative range two days ago times volume, over today's range per vwap less close.",
)
formula(
    "alpha_084",
    signed_power(ts_rank(vwap - ts_max(vwap, 15.3217), 20.7127), delta(close, 4.96796)),
    unit="level",
    summary="Vwap under its high, ranked in time, to the power of the change of close.",
)
formula(
    "alpha_085",
    rank(correlation(high * 0.876703 + close * (1 - 0.876703), adv(30), 9.61331))
    ** rank(correlation(ts_rank((high + low) / 2, 3.70596), ts_rank(volume, 10.1595), 7.11408)),
    unit="level",
    summary="High and close against volume, to the power of the day's middle against volume.",
)
formula(
    "alpha_086",
    (
        ts_rank(correlation(close, ts_sum(adv(20), 14.7444), 6.00049), 20.4195)
        < rank(open_ + close - (vwap + open_))
    )
    * -1,
    unit="level",
    summary="-1 where close follows slow volume less than close is above vwap.",
)
formula(
    "alpha_087",
    (
        maximum(
            rank(decay_linear(delta(close * 0.369701 + vwap * (1 - 0.369701), 1.91233), 2.65461)),
            ts_rank(
                decay_linear(
                    absolute(correlation(indneutralize(adv(81), "industry"), close, 13.4132)),
                    4.89768,
                ),
                14.4535,
            ),
        )
        * -1
    ),
    unit="level",
    summary="Larger of a rise and of volume within its industry against close, negated.",
)
formula(
    "alpha_088",
    minimum(
        rank(decay_linear(rank(open_) + rank(low) - (rank(high) + rank(close)), 8.06882)),
        ts_rank(
            decay_linear(
                correlation(ts_rank(close, 8.44728), ts_rank(adv(60), 20.6966), 8.01266), 6.65053
            ),
            2.61957,
        ),
    ),
    unit="level",
    summary="Smaller of open and low over high and close and of close against volume.",
)
formula(
    "alpha_089",
    ts_rank(
        decay_linear(correlation(low * 0.967285 + low * (1 - 0.967285), adv(10), 6.94279), 5.51607),
        3.79744,
    )
    - ts_rank(decay_linear(delta(indneutralize(vwap, "industry"), 3.48158), 10.1466), 15.3012),
    unit="level",
    summary="Low against volume less the rise of vwap within its industry, ranks in time.",
)
formula(
    "alpha_090",
    (
        rank(close - ts_max(close, 4.66719))
        ** ts_rank(correlation(indneutralize(adv(40), "subindustry"), low, 5.38375), 3.21856)
    )
    * -1,
    unit="level",
    summary="Close under its high, to the power of volume within its class against low, negated.",
)
formula(
    "alpha_091",
    (
        ts_rank(
            decay_linear(
                decay_linear(
                    correlation(indneutralize(close, "industry"), volume, 9.74928), 16.398
                ),
                3.83219,
            ),
            4.8667,
        )
        - rank(decay_linear(correlation(vwap, adv(30), 4.01303), 2.6809))
    )
    * -1,
    unit="level",
    summary="Close within its industry against volume less vwap against volume, negated.",
)
formula(
    "alpha_092",
    minimum(
        ts_rank(decay_linear((high + low) / 2 + close < low + open_, 14.7221), 18.8683),
        ts_rank(decay_linear(correlation(rank(low), rank(adv(30)), 7.58555), 6.94024), 6.80584),
    ),
    unit="level",
    summary="Smaller of how often the day ended under its open and of low against volume.",
)
formula(
    "alpha_093",
    ts_rank(
        decay_linear(correlation(indneutralize(vwap, "industry"), adv(81), 17.4193), 19.848),
        7.54455,
    )
    / rank(decay_linear(delta(close * 0.524434 + vwap * (1 - 0.524434), 2.77377), 16.2664)),
    unit="level",
    summary="Vwap within its industry against volume, over the rise of close and vwap.",
)
formula(
    "alpha_094",
    (
        rank(vwap - ts_min(vwap, 11.5783))
        ** ts_rank(correlation(ts_rank(vwap, 19.6462), ts_rank(adv(60), 4.02992), 18.0926), 2.70756)
    )
    * -1,
    unit="level",
    summary="Vwap above its low, to the power of vwap against volume, negated.",
)
formula(
    "alpha_095",
    rank(open_ - ts_min(open_, 12.4105))
    < ts_rank(
        rank(correlation(ts_sum((high + low) / 2, 19.1351), ts_sum(adv(40), 19.1351), 12.8742))
        ** 5,
        11.7584,
    ),
    unit="level",
    summary="1 where open is nearer its low than the day's middle follows volume.",
)
formula(
    "alpha_096",
    (
        maximum(
            ts_rank(decay_linear(correlation(rank(vwap), rank(volume), 3.83878), 4.16783), 8.38151),
            ts_rank(
                decay_linear(
                    ts_argmax(
                        correlation(ts_rank(close, 7.45404), ts_rank(adv(60), 4.13242), 3.65459),
                        12.6556,
                    ),
                    14.0365,
                ),
                13.4143,
            ),
        )
        * -1
    ),
    unit="level",
    summary="Larger of vwap against volume and of when close followed volume most, negated.",
)
formula(
    "alpha_097",
    (
        rank(
            decay_linear(
                delta(indneutralize(low * 0.721001 + vwap * (1 - 0.721001), "industry"), 3.3705),
                20.4523,
            )
        )
        - ts_rank(
            decay_linear(
                ts_rank(
                    correlation(ts_rank(low, 7.87871), ts_rank(adv(60), 17.255), 4.97547), 18.5925
                ),
                15.7152,
            ),
            6.71659,
        )
    )
    * -1,
    unit="level",
    summary="Rise of low and vwap within the industry less low against volume, negated.",
)
formula(
    "alpha_098",
    rank(decay_linear(correlation(vwap, ts_sum(adv(5), 26.4719), 4.58418), 7.18088))
    - rank(
        decay_linear(
            ts_rank(ts_argmin(correlation(rank(open_), rank(adv(15)), 20.8187), 8.62571), 6.95668),
            8.07206,
        )
    ),
    unit="level",
    summary="Vwap against volume less when open followed volume least.",
)
formula(
    "alpha_099",
    (
        rank(correlation(ts_sum((high + low) / 2, 19.8975), ts_sum(adv(60), 19.8975), 8.8136))
        < rank(correlation(low, volume, 6.28259))
    )
    * -1,
    unit="level",
    summary="-1 where the day's middle follows slow volume less than low follows volume.",
)
formula(
    "alpha_100",
    0
    - 1
    * (
        (
            1.5
            * scale(
                indneutralize(
                    indneutralize(
                        rank(((close - low) - (high - close)) / (high - low) * volume),
                        "subindustry",
                    ),
                    "subindustry",
                )
            )
            - scale(
                indneutralize(
                    correlation(close, rank(adv(20)), 5) - rank(ts_argmin(close, 30)), "subindustry"
                )
            )
        )
        * (volume / adv(20))
    ),
    unit="ratio",
    summary="Range position times volume less close against volume, within classes, negated.",
)
formula(
    "alpha_101",
    (close - open_) / (high - low + 0.001),
    unit="ratio",
    summary="Body of the day over its range.",
)
