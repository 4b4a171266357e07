"""What a tuned combo leaves beside its weights, for reports and for the choice among trials."""

from collections.abc import Sequence
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raycalib.storage import Location

TRAINING = "training.json"
"""Best step, its NLL, and the history of evaluations."""

VALIDATION = "validation.parquet"
"""The best step's log-odds that answers are right, of the rows of ``val_select`` that it was chosen by."""

FAILURE = "failure.json"
"""Why it cannot be tuned."""


def write_validation(place: Location, row_ids: Sequence[str], labels: Sequence[int], margins: np.ndarray) -> None:
    """Writes ``VALIDATION``: ``row_id``, ``query_label``, ``margin``."""
    whole = io.BytesIO()
    pq.write_table(pa.table({"row_id": row_ids, "query_label": labels, "margin": margins}), whole)
    place.write_bytes(VALIDATION, whole.getvalue())


def read_validation(place: Location) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids of the rows, (n,) labels and (n,) log-odds, as they were written."""
    rows = pq.read_table(io.BytesIO(place.read_bytes(VALIDATION)))
    # Copies, since torch warns of arrays that nobody may write to.
    return rows["row_id"].to_pylist(), np.array(rows["query_label"]), np.array(rows["margin"])
