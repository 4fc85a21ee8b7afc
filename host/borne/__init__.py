"""borne: flash street sensor nodes, provision them, decode what they send."""

from importlib.metadata import version as _version

__version__ = _version("borne")
