"""The columnar decoder inside Spark: the same function on every executor, nothing collected. Needs `borne[spark]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from borne.decoding.columns import batches_schema, decode_batches


def decode_frame(frame: Any, payload: str = "payload", port: str = "port") -> Any:
    """A Spark DataFrame with a binary and an integer column -> the same rows with typed columns of all reports.

    Other columns are kept. What is no report gives nulls and a text in `error`.
    """
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    kept = [field for field in frame.schema.fields if field.name not in (payload, port)]
    columns = StructType([*kept, *from_arrow_schema(batches_schema()).fields])

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return decode_batches(batches, payload=payload, port=port)

    return frame.mapInArrow(decode, columns)
