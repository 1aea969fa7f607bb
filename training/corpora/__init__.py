"""Public corpora and the user's own files, all ending in :class:`~training.corpora.row.Row`.

``row`` is the shape and what a label teaches, ``parquet`` the form on disk. Import from here.
"""

from __future__ import annotations

from training.corpora.parquet import read_parquet_dir, write_parquet
from training.corpora.row import (
    ALL,
    AMBIGUOUS,
    COMPLIANT,
    OTHER,
    CorpusError,
    Row,
    RowProblem,
    Targets,
    directions_of,
    parse_context,
    targets_of,
)

__all__ = [
    "ALL",
    "AMBIGUOUS",
    "COMPLIANT",
    "OTHER",
    "CorpusError",
    "Row",
    "RowProblem",
    "Targets",
    "directions_of",
    "parse_context",
    "read_parquet_dir",
    "targets_of",
    "write_parquet",
]
