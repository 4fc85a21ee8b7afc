"""What the next uplink owes the network and what it asks: short streams of MAC commands (TS001-1.0.4, chapter 5).

Who answers is requests.py, which is loaded only when the network commands something.
"""

from borne_node.compat import const

LINK_CHECK = const(0x02)  # LinkCheckReq and DeviceTimeReq: one byte each
DEVICE_TIME = const(0x0D)
_ROOM = const(64)  # answers kept for the next uplink; a storm of requests gets no more than these


class Answers:
    """`once` are answers of one uplink; `sticky` those that are repeated until a downlink comes; `asks` questions."""

    def __init__(self):
        self.once = self.sticky = self.asks = b""

    def ask(self, command):
        """Put a LinkCheckReq or DeviceTimeReq into the next uplink."""
        if command not in self.asks:
            self.asks += bytes((command,))

    def add(self, answer, sticky):
        if len(self.sticky) + len(self.once) + len(answer) > _ROOM:
            return
        if sticky:
            self.sticky += answer
        else:
            self.once += answer

    def fitting(self, room):
        """What goes into FOpts of `room` bytes, the questions only if they fit too; None where the answers do not."""
        owed = self.sticky + self.once
        if len(owed) > room:
            return None
        return owed + self.asks if len(owed) + len(self.asks) <= room else owed

    def sent(self, stream):
        """`stream` left with an uplink. Returns whether it asks for an answer."""
        asked = bool(self.asks) and len(stream) > len(self.sticky) + len(self.once)
        if stream:
            self.once = b""
        if asked:
            self.asks = b""
        return asked
