"""CSV tables as frames of pandas, where cells are told to be numbers or words."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from focal_common.errors import FocalError, TraceError
from focal_common.reading.csv_files import parse_csv
from focal_common.reading.doors import one_line, read_text

if TYPE_CHECKING:
    import pandas as pd


def csv_frame(
    path: Path,
    needed: Collection[str],
    error: type[FocalError] = TraceError,
    hint: str = "",
    numbers: Collection[str] = (),
    words: Collection[str] = (),
) -> pd.DataFrame:
    """Read a CSV file as a frame; only an empty cell is a missing value.

    Args:
        path: File with a heading; one without any text is a frame without columns where none is needed.
        needed: Columns that must exist.
        error: What to raise.
        hint: Ends the sentence, such as what was expected.
        numbers: Columns of finite numbers.
        words: Columns that stay text whatever they hold; ``model`` and ``dataset`` are always such.

    Raises:
        FocalError: As `parse_csv`; or a cell is ``inf`` or ``nan``, or no number in a column of numbers.
    """
    import numpy as np
    import pandas as pd

    text = read_text(path, error, hint=hint)
    if not text.strip() and not needed:
        return pd.DataFrame()
    _, rows = parse_csv(text, str(path), needed, error, hint=hint)
    kinds = dict.fromkeys((*words, "model", "dataset"), str)
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=kinds, keep_default_na=False, na_values=[""])
    # What Python reads as a table pandas may refuse, with errors of many kinds.
    except Exception as problem:
        raise error(f"{path}: not a CSV table ({one_line(problem)})") from problem
    frame.columns = [str(name).strip() for name in frame.columns]
    end = f"; {hint}" if hint else ""
    for name in frame.columns:
        is_number = pd.api.types.is_numeric_dtype(frame[name])
        if name in numbers and not is_number and len(frame):
            raise error(f"{path}: column '{name}' must hold numbers{end}")
        if is_number:
            for place in np.flatnonzero(~np.isfinite(frame[name].to_numpy(dtype=float))):
                if rows[place][name].strip():
                    raise error(
                        f"{path}, row {place + 1}: '{name}' is '{rows[place][name]:.40}', expected a number{end}"
                    )
    return frame
