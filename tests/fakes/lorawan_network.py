"""A network server for one device: it checks what arrives as strictly as a real one, and answers in the windows."""

import struct

from aes import aes

from borne_node.link.lorawan import commands, frames
from borne_node.link.lorawan.channels import Channels
from borne_node.link.lorawan.crypto import Key, session_keys
from borne_node.link.lorawan.masks import add_list

_OF_A_SESSION = ("address", "network", "application", "sessions", "down", "channels", "rx2")


_KEPT = 50  # of the last uplinks: the tests share their heap with the firmware


class Violation(AssertionError):
    pass


class Network:
    """`lose_up` and `lose_down` are called for each frame and say whether it is lost.

    `answers` holds what the next uplink is answered with, oldest first: dicts with port, payload, options, confirmed,
    control, window (1 or 2). What the device is known to use (RX1 offset, RX2) is kept by the test.
    """

    def __init__(self, plan, ether, app_key, join_eui=bytes(8), dev_eui=bytes(8)):
        self.plan = plan
        self.ether = ether
        self.app_key = app_key
        self.root = Key(aes, app_key)
        self.euis = bytes(reversed(join_eui)) + bytes(reversed(dev_eui))
        self.channels = Channels(plan)
        self.address = None
        self.nonces = set()
        self.join_nonce = 0
        self.counts = {}
        self.sessions = self.made = 0
        self.before = None
        self.down = 0
        self.accepts = True
        self.settings = plan.rx2[1]
        self.delay = 1
        self.list = b""
        self.rx2 = plan.rx2
        self.uplinks = []
        self.arrived = 0
        self.answers_checks = True
        self.answers = []
        self.lose_up = lambda: False
        self.lose_down = lambda: False
        ether.listeners.append(self.hear)

    def hear(self, frame, start, end, frequency, sf, bandwidth, power):
        self.law(frame, frequency, sf, bandwidth, power)
        rate = self.plan.rates.index((sf, bandwidth))
        index = [i for i in range(self.channels.count) if (self.channels.get(i) or (0,))[0] == frequency]
        if frame[0] == 0:
            self.check_nonce(frame)
        elif not self.lose_up():
            self.data(frame, end, index[0] if index else None, frequency, rate)
            return
        if frame[0] == 0 and self.accepts and not self.lose_up():
            self.accept(frame, end, index[0], rate)

    def law(self, frame, frequency, sf, bandwidth, power):
        band = self.plan.band(frequency)
        if band is None:
            raise Violation(f"sent on {frequency} Hz")
        if power > self.plan.bands[band][3]:
            raise Violation(f"{power} dBm on {frequency} Hz")
        rate = self.plan.rates.index((sf, bandwidth))
        if frame[0] != 0 and len(frame) > self.plan.sizes[rate] + frames.OVERHEAD:
            raise Violation(f"{len(frame)} bytes at rate {rate}")

    def check_nonce(self, frame):
        if frame[1:17] != self.euis:
            raise Violation("a join request of somebody else")
        nonce = struct.unpack("<H", frame[17:19])[0]
        if nonce in self.nonces:
            raise Violation(f"DevNonce {nonce} again")
        self.nonces.add(nonce)
        if bytes(self.root.cmac(frame[:19])[:4]) != frame[19:]:
            raise Violation("MIC of a join request")

    def accept(self, frame, end, index, rate):
        self.join_nonce += 1
        if self.address is not None:
            self.before = {name: getattr(self, name) for name in _OF_A_SESSION}
        self.made += 1
        self.sessions = self.made
        self.address = 0x26000000 + self.made
        nonce = struct.unpack("<H", frame[17:19])[0]
        network, application = session_keys(self.root, self.join_nonce, 0x13, nonce)
        self.network, self.application = Key(aes, network), Key(aes, application)
        self.down = 0
        self.rx2 = (self.plan.rx2[0], self.settings & 15)
        self.channels = Channels(self.plan)
        if self.list:
            add_list(self.channels, self.list)
        raw = self.accept_bytes(self.join_nonce)
        if not self.lose_down():
            self.put(raw, end, index, self.plan.rx1_rate(rate, 0, False), 5000, 1, self.plan.rx2)

    def accept_bytes(self, join_nonce, key=None):
        plain = (
            b"\x20"
            + struct.pack("<I", join_nonce)[:3]
            + b"\x13\0\0"
            + struct.pack("<IBB", self.address, self.settings, self.delay)
            + self.list
        )
        plain += bytes((key or self.root).cmac(plain)[:4])
        cipher = aes(self.app_key, 1)
        return plain[:1] + b"".join(cipher.decrypt(plain[i : i + 16]) for i in range(1, len(plain), 16))

    def put(self, raw, end, index, rate, delay_ms, window, rx2):
        """Send `raw` into a receive window that belongs to an uplink which ended at `end`."""
        frequency = self.channels.down_hz(index) if window == 1 else rx2[0]
        sf, bandwidth = self.plan.rate(rate if window == 1 else rx2[1])
        start = end + delay_ms * 1000 + (window - 1) * 1_000_000
        self.ether.down.append((raw, start, (frequency, sf, bandwidth, True), -90, 5))

    def data(self, frame, end, index, frequency, rate):
        head = frames.parse(frame)
        if head and self.before and head.address == self.before["address"]:
            # TS001-1.0.4, chapter 6: the old session lives until the first uplink of the new one.
            for name in _OF_A_SESSION:
                setattr(self, name, self.before[name])
        if head is None or head.address != self.address:
            raise Violation(f"an uplink of nobody: {frame}")
        last = self.counts.get(self.sessions)
        count = frames.next_count(last, head.count)
        repeated = last is not None and head.count == last & 0xFFFF
        if repeated:
            count = last
        data = frames.open_data(self.network, self.application, frame, count)
        if data is None:
            raise Violation("an uplink that does not open: a counter was used again, or keys differ")
        if repeated and self.uplinks[-1][1] != frame:
            raise Violation(f"FCntUp {count} again with other bytes")
        self.counts[self.sessions] = count
        if index is None:
            raise Violation(f"an uplink on {frequency} Hz")
        self.uplinks.append((data, frame, rate, index))
        del self.uplinks[:-_KEPT]
        self.arrived += 1
        if self.answers:
            self.answer(self.answers.pop(0), end, index, rate)
        elif self.answers_checks and commands.LINK_CHECK in [one[0] for one in asked(data)]:
            options = commands.pack(commands.DOWNLINK, commands.LINK_CHECK, 10, 1)
            self.answer({"options": options}, end, index, rate)

    def answer(self, what, end, index, rate):
        if what is None:
            return
        data = frames.Data(
            True,
            what.get("confirmed", False),
            self.address,
            what.get("control", 0),
            what.get("count", self.down),
            what.get("options", b""),
            what.get("port"),
            what.get("payload", b""),
        )
        self.down = data.count + 1
        raw = bytes(frames.build(self.network, self.application, data))
        rx1 = self.plan.rx1_rate(rate, what.get("offset", self.settings >> 4 & 7), False)
        if not self.lose_down():
            self.put(raw, end, index, rx1, 1000 * (self.delay or 1), what.get("window", 1), self.rx2)


def asked(data):
    """(command, values) of the MAC commands that an uplink carries."""
    return list(commands.parse(commands.UPLINK, data.payload if data.port == 0 else data.options))


class Audit:
    """The law as an outsider sees it: no hour holds more airtime of a sub-band than allowed, no day more than fair.

    Raises Violation at the frame that is too much. `spent_us` is the airtime of all frames.
    """

    def __init__(self, plan, ether, fair_use_us=None):
        self.plan = plan
        self.spent_us = 0
        self._hours = [_Window(3_600_000_000, 3_600_000_000 // row[2]) for row in plan.bands]
        self._day = _Window(86_400_000_000, fair_use_us or 86_400_000_000)
        ether.listeners.append(self.hear)

    def hear(self, frame, start, end, frequency, *_):
        self.spent_us += end - start
        self._hours[self.plan.band(frequency)].add(start, end)
        self._day.add(start, end)


class _Window:
    def __init__(self, length, limit):
        self._length = length
        self._limit = limit
        self._spans = []
        self._total = 0

    def add(self, start, end):
        self._spans.append((start, end))
        self._total += end - start
        while self._spans[0][1] <= end - self._length:
            old = self._spans.pop(0)
            self._total -= old[1] - old[0]
        if self._total > self._limit:
            raise Violation(f"{self._total} us of airtime, {self._limit} allowed")
