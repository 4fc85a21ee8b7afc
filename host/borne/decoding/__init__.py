"""Bytes of nodes into typed values: one report, columns of millions, a stream; and decoders for others,
generated.
"""

from borne.decoding.report import OVERFLOW, SUPPRESSED, Marker, Report, Value, decode, encode
from borne.errors import DecodeError

__all__ = ["OVERFLOW", "SUPPRESSED", "DecodeError", "Marker", "Report", "Value", "decode", "encode"]
