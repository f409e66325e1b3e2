"""`steelyard verify`: re-score a result bundle from its action log."""

from __future__ import annotations

from pathlib import Path

from steelyard.cli.output import emit, say


def verify(bundle: Path, *, json: bool = False) -> int:
    """Re-score a result bundle from its action log, bit for bit; exit 1 if anything differs.

    Parameters
    ----------
    bundle
        Directory of a result bundle, as `steelyard run` wrote it.
    json
        Print one JSON document on stdout.
    """
    from steelyard.benchmark import verify as check
    from steelyard.compilation import use_cache

    use_cache()
    result = check(bundle)
    if json:
        emit(result.to_dict())
    else:
        for line in result.lines():
            say(line)
    return 0 if result.holds else 1
