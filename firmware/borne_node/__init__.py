"""The node: measures, anonymises on the spot, sends small reports. Runs on MicroPython, imports on CPython."""

__version__ = "0.1.0"
