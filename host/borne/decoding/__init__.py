"""Bytes of nodes into typed values: one report, columns of millions, a stream; and decoders for others, generated.

decode_columns and decode_stream need `borne[columns]`; they are imported when they are named.
"""

from typing import TYPE_CHECKING, Any

from borne.decoding.report import OVERFLOW, SUPPRESSED, Marker, Report, Value, decode, encode
from borne.errors import DecodeError

if TYPE_CHECKING:
    from borne.decoding.columns import decode_columns
    from borne.decoding.stream import decode_stream

__all__ = [
    "OVERFLOW",
    "SUPPRESSED",
    "DecodeError",
    "Marker",
    "Report",
    "Value",
    "decode",
    "decode_columns",
    "decode_stream",
    "encode",
]


def __getattr__(name: str) -> Any:
    if name == "decode_columns":
        from borne.decoding import columns

        return columns.decode_columns
    if name == "decode_stream":
        from borne.decoding import stream

        return stream.decode_stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
