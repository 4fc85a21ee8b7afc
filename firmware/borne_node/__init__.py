"""The node: measures, anonymises on the spot, sends small reports. Runs on MicroPython, imports on CPython."""

__version__ = "0.1.0"

# 2026-11-23T00:00Z. A clock that stands before the release of the firmware it runs has not been set.
RELEASED = 1795392000
