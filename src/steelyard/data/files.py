"""The source `files`: CSV and Parquet tables of the user."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from steelyard.data.rows import parse_repairs, repair_rows, row_defects
from steelyard.data.table import find_files, read_table, to_panel
from steelyard.errors import DataError
from steelyard.registry import member
from steelyard.types import Panel


@member("sources")
def files(
    request: str | Path | Sequence[str | Path],
    *,
    adjust: str = "all",
    repair: str | Sequence[str] = (),
) -> Panel:
    """CSV and Parquet files: `date,tic,open,high,low,close,volume[,adj_close][,vix]`.

    A file without a column `tic` holds one asset, named as the file. Column names match in any
    case; other columns are ignored. An asset that is listed late or delisted early is not observed
    (NaN) before and after; nothing is filled.

    Args:
        request: a file, a folder of files, or several paths.
        adjust: how `adj_close` enters the prices where the file has it: "all" (open, high, low and
            close together), "splits" (as stored), "close_only" (the published pipeline's flaw).
        repair: what may be set right instead of refused: "sort", "duplicates", "prices" (see
            `steelyard.data.rows.REPAIRS`), several with commas.

    Raises:
        MissingDataError: a file does not exist.
        DataError: a column is missing, or a row is a duplicate, out of order, empty or not above
            zero; the message names file, line, date and asset of the first.
    """
    repairs = parse_repairs(repair)
    paths = find_files(request)
    table = read_table(paths)
    frame = repair_rows(table.frame, repairs)
    defects = sorted([*table.defects, *row_defects(frame)], key=lambda d: (d.file, d.line))
    if defects:
        raise DataError(str(defects[0]), hint=defects[0].hint)
    if frame.is_empty():
        raise DataError(
            f"no row of {paths[0].name} is left after the repair", hint="correct the file"
        )
    name = request if isinstance(request, str | Path) else ",".join(str(path) for path in request)
    return to_panel(frame, how=adjust, name=f"files:{name}", sha256=digest_files(paths))


def digest_files(paths: Sequence[Path]) -> str:
    """sha256 of one file, or of the list of names and digests of several."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    if len(digests) == 1:
        return digests[0]
    lines = [f"{digest}  {path.name}\n" for digest, path in zip(digests, paths, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
