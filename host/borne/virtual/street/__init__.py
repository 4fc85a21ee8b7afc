"""A virtual street, from bare boards to decoded reports, through real parts only.

The real esptool writes one image to each board's emulated bootloader, mpremote's transport provisions over
the REPL, real MicroPython runs the firmware out of that flash against simulated chips, and what it sends, by
LoRaWAN over simulated radios, gateways and a network server, or by Wi-Fi and MQTT, is decoded as it arrives.
Time is simulated, everything is seeded: the same seed plays the same street.
"""

from borne.virtual.street.events import Ended, Event, Passed, Progress, Ready, Reported
from borne.virtual.street.network import Radio, is_available
from borne.virtual.street.run import links, play
from borne.virtual.street.summary import Line, Measure, Pair, Summary

__all__ = [
    "Ended",
    "Event",
    "Line",
    "Measure",
    "Pair",
    "Passed",
    "Progress",
    "Radio",
    "Ready",
    "Reported",
    "Summary",
    "is_available",
    "links",
    "play",
]
