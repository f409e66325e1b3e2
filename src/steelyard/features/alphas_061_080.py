"""The 101 formulaic alphas of Kakushadze (2016, appendix A.1), numbers 61 to 80.

Windows stand as printed and are floored. What the series mean on stocks and on books, and what
happens without a cross-section, is in `features.series`; how ambiguous formulas are read stands
on the page "101 alphas" of the documentation.
"""

from __future__ import annotations

from steelyard.features.expressions import (
    adv,
    close,
    correlation,
    decay_linear,
    delta,
    high,
    indneutralize,
    low,
    maximum,
    minimum,
    open_,
    rank,
    sign,
    ts_max,
    ts_min,
    ts_rank,
    ts_sum,
    volume,
    vwap,
)
from steelyard.features.formulas import formula

formula(
    "alpha_061",
    rank(vwap - ts_min(vwap, 16.1219)) < rank(correlation(vwap, adv(180), 17.9282)),
    unit="level",
    summary="1 where vwap is nearer its low than it moves with volume.",
)
formula(
    "alpha_062",
    (
        rank(correlation(vwap, ts_sum(adv(20), 22.4101), 9.91009))
        < rank(rank(open_) + rank(open_) < rank((high + low) / 2) + rank(high))
    )
    * -1,
    unit="level",
    summary="Vwap against volume below the rank of an open below the day's middle, negated.",
)
formula(
    "alpha_063",
    (
        rank(decay_linear(delta(indneutralize(close, "industry"), 2.25164), 8.22237))
        - rank(
            decay_linear(
                correlation(
                    vwap * 0.318108 + open_ * (1 - 0.318108), ts_sum(adv(180), 37.2467), 13.557
                ),
                12.2883,
            )
        )
    )
    * -1,
    unit="level",
    summary="Decayed rise within the industry less vwap and open against volume, negated.",
)
formula(
    "alpha_064",
    (
        rank(
            correlation(
                ts_sum(open_ * 0.178404 + low * (1 - 0.178404), 12.7054),
                ts_sum(adv(120), 12.7054),
                16.6208,
            )
        )
        < rank(delta((high + low) / 2 * 0.178404 + vwap * (1 - 0.178404), 3.69741))
    )
    * -1,
    unit="level",
    summary="-1 where open and low follow volume less than the price rose.",
)
formula(
    "alpha_065",
    (
        rank(
            correlation(
                open_ * 0.00817205 + vwap * (1 - 0.00817205), ts_sum(adv(60), 8.6911), 6.40374
            )
        )
        < rank(open_ - ts_min(open_, 13.635))
    )
    * -1,
    unit="level",
    summary="-1 where vwap follows volume less than open is above its low.",
)
formula(
    "alpha_066",
    (
        rank(decay_linear(delta(vwap, 3.51013), 7.23052))
        + ts_rank(
            decay_linear(
                (low * 0.96633 + low * (1 - 0.96633) - vwap) / (open_ - (high + low) / 2), 11.4157
            ),
            6.72611,
        )
    )
    * -1,
    unit="level",
    summary="Decayed rise of vwap plus low under vwap over open off the middle, negated.",
)
formula(
    "alpha_067",
    (
        rank(high - ts_min(high, 2.14593))
        ** rank(
            correlation(
                indneutralize(vwap, "sector"), indneutralize(adv(20), "subindustry"), 6.02936
            )
        )
    )
    * -1,
    unit="level",
    summary="High above its low, to the power of vwap against volume within classes, negated.",
)
formula(
    "alpha_068",
    (
        ts_rank(correlation(rank(high), rank(adv(15)), 8.91644), 13.9333)
        < rank(delta(close * 0.518371 + low * (1 - 0.518371), 1.06157))
    )
    * -1,
    unit="level",
    summary="-1 where high follows volume less than close and low rose.",
)
formula(
    "alpha_069",
    (
        rank(ts_max(delta(indneutralize(vwap, "industry"), 2.72412), 4.79344))
        ** ts_rank(correlation(close * 0.490655 + vwap * (1 - 0.490655), adv(20), 4.92416), 9.0615)
    )
    * -1,
    unit="level",
    summary="Rise of vwap within the industry, to the power of price against volume, negated.",
)
formula(
    "alpha_070",
    (
        rank(delta(vwap, 1.29456))
        ** ts_rank(correlation(indneutralize(close, "industry"), adv(50), 17.8256), 17.9171)
    )
    * -1,
    unit="level",
    summary="Rise of vwap, to the power of close within the industry against volume, negated.",
)
formula(
    "alpha_071",
    maximum(
        ts_rank(
            decay_linear(
                correlation(ts_rank(close, 3.43976), ts_rank(adv(180), 12.0647), 18.0175), 4.20501
            ),
            15.6948,
        ),
        ts_rank(decay_linear(rank(low + open_ - (vwap + vwap)) ** 2, 16.4662), 4.4388),
    ),
    unit="level",
    summary="Larger of close against volume and of low and open off vwap, ranks in time.",
)
formula(
    "alpha_072",
    rank(decay_linear(correlation((high + low) / 2, adv(40), 8.93345), 10.1519))
    / rank(
        decay_linear(
            correlation(ts_rank(vwap, 3.72469), ts_rank(volume, 18.5188), 6.86671), 2.95011
        )
    ),
    unit="level",
    summary="Middle of the day against volume, over vwap against volume.",
)
formula(
    "alpha_073",
    (
        maximum(
            rank(decay_linear(delta(vwap, 4.72775), 2.91864)),
            ts_rank(
                decay_linear(
                    delta(open_ * 0.147155 + low * (1 - 0.147155), 2.03608)
                    / (open_ * 0.147155 + low * (1 - 0.147155))
                    * -1,
                    3.33829,
                ),
                16.7411,
            ),
        )
        * -1
    ),
    unit="level",
    summary="Larger of the rise of vwap and of the relative fall of open and low, negated.",
)
formula(
    "alpha_074",
    (
        rank(correlation(close, ts_sum(adv(30), 37.4843), 15.1365))
        < rank(correlation(rank(high * 0.0261661 + vwap * (1 - 0.0261661)), rank(volume), 11.4791))
    )
    * -1,
    unit="level",
    summary="-1 where close follows slow volume less than high and vwap follow volume.",
)
formula(
    "alpha_075",
    rank(correlation(vwap, volume, 4.24304)) < rank(correlation(rank(low), rank(adv(50)), 12.4413)),
    unit="level",
    summary="1 where vwap follows volume less than low follows slow volume.",
)
formula(
    "alpha_076",
    (
        maximum(
            rank(decay_linear(delta(vwap, 1.24383), 11.8259)),
            ts_rank(
                decay_linear(
                    ts_rank(correlation(indneutralize(low, "sector"), adv(81), 8.14941), 19.569),
                    17.1543,
                ),
                19.383,
            ),
        )
        * -1
    ),
    unit="level",
    summary="Larger of the rise of vwap and of low within its sector against volume, negated.",
)
formula(
    "alpha_077",
    minimum(
        rank(decay_linear((high + low) / 2 + high - (vwap + high), 20.0451)),
        rank(decay_linear(correlation((high + low) / 2, adv(40), 3.1614), 5.64125)),
    ),
    unit="level",
    summary="Smaller of the day's middle over vwap and of its link to volume.",
)
formula(
    "alpha_078",
    rank(
        correlation(
            ts_sum(low * 0.352233 + vwap * (1 - 0.352233), 19.7428),
            ts_sum(adv(40), 19.7428),
            6.83313,
        )
    )
    ** rank(correlation(rank(vwap), rank(volume), 5.77492)),
    unit="level",
    summary="Low and vwap against slow volume, to the power of vwap against volume.",
)
formula(
    "alpha_079",
    rank(delta(indneutralize(close * 0.60733 + open_ * (1 - 0.60733), "sector"), 1.23438))
    < rank(correlation(ts_rank(vwap, 3.60973), ts_rank(adv(150), 9.18637), 14.6644)),
    unit="level",
    summary="1 where the rise within the sector is below vwap against volume.",
)
formula(
    "alpha_080",
    (
        rank(
            sign(
                delta(indneutralize(open_ * 0.868128 + high * (1 - 0.868128), "industry"), 4.04545)
            )
        )
        ** ts_rank(correlation(high, adv(10), 5.11456), 5.53756)
    )
    * -1,
    unit="level",
    summary="Direction within the industry, to the power of high against volume, negated.",
)
