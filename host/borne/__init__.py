"""borne: flash street sensor nodes, provision them, decode what they send."""

from importlib.metadata import version as _version

from borne.decoding import OVERFLOW, SUPPRESSED, DecodeError, Report, decode

__all__ = ["OVERFLOW", "SUPPRESSED", "DecodeError", "Report", "decode"]
__version__ = _version("borne")
