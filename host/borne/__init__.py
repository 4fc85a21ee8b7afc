"""borne: flash street sensor nodes, provision them, decode what they send."""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from borne import decoding as _decoding
from borne.decoding import OVERFLOW, SUPPRESSED, DecodeError, Report, decode

if TYPE_CHECKING:
    from borne.decoding import decode_columns, decode_stream

__all__ = ["OVERFLOW", "SUPPRESSED", "DecodeError", "Report", "decode", "decode_columns", "decode_stream"]
__version__ = _version("borne")


def __getattr__(name: str) -> Any:
    # They load NumPy and Arrow, which one report does not need.
    if name in ("decode_columns", "decode_stream"):
        return getattr(_decoding, name)
    raise AttributeError(f"module 'borne' has no attribute {name!r}")
