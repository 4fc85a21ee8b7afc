"""borne: flash street sensor nodes, provision them, decode what they send."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from borne.decoding import (
        OVERFLOW,
        SUPPRESSED,
        DecodeError,
        Report,
        decode,
        decode_columns,
        decode_stream,
    )

    __version__: str

__all__ = ["OVERFLOW", "SUPPRESSED", "DecodeError", "Report", "decode", "decode_columns", "decode_stream"]


def __getattr__(name: str) -> Any:
    # Each is loaded when it is named: a command that flashes decodes nothing, and none of them waits for another.
    if name in __all__:
        from borne import decoding

        return getattr(decoding, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("borne")
    raise AttributeError(f"module 'borne' has no attribute {name!r}")
