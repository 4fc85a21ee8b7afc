"""A LoRa radio at the driver's contract, and the air it speaks into.

It keeps the chip's modes, checks its caller, computes time on air, hears a frame only when six of the eight symbols
of its preamble fall into an open window with the same settings, and can be told to fail.
"""

from borne_node.chips.lora import Packet, RadioFault, airtime_us, symbol_us

_PREAMBLE = 8
_KEPT = 200  # entries of the logs: the tests share their heap with the firmware


class Misuse(AssertionError):
    pass


class Ether:
    """Time in milliseconds since the start, frames sent up, and frames on their way down."""

    def __init__(self, clock):
        self._clock = clock
        self._ticks = clock.ticks_ms()
        self._now = 0
        self.up = []
        self.down = []
        self.listeners = []

    def now_us(self):
        ticks = self._clock.ticks_ms()
        self._now += (ticks - self._ticks) & ((1 << 30) - 1)
        self._ticks = ticks
        return self._now * 1000


class FakeRadio:
    """`fail` is None, "stuck" (nothing ever ends) or "deaf" (nothing is ever heard)."""

    START_MS = 0

    def __init__(self, ether):
        self.ether = ether
        self.mode = "sleep"
        self.fail_mode = None
        self.noise_dbm = -120
        self.busy = {}  # frequencies with somebody on them: dBm
        self.listened = 0
        self.faults = 0
        self.windows = []
        self._settings = None
        self._until = 0
        self._packet = None

    def configure(self, frequency, sf, bandwidth, inverted=False, power=None):
        if self.mode in ("send", "receive"):
            raise Misuse("configure in mode " + self.mode)
        self.mode = "standby"
        self._settings = (frequency, sf, bandwidth, inverted)
        self._power = power

    def start_send(self, frame):
        if self.mode != "standby" or self._power is None or self._settings[3]:
            raise Misuse("start_send in mode " + self.mode)
        if not 1 <= len(frame) <= 255:
            raise Misuse(f"a frame of {len(frame)} bytes")
        self.mode = "send"
        start = self.ether.now_us()
        frequency, sf, bandwidth, _ = self._settings
        self._until = start + airtime_us(sf, bandwidth, len(frame))
        sent = (bytes(frame), start, self._until, frequency, sf, bandwidth, self._power)
        self.ether.up.append(sent)
        del self.ether.up[:-_KEPT]
        for listener in self.ether.listeners:
            listener(*sent)

    def poll_send(self):
        if self.mode != "send":
            raise Misuse("poll_send in mode " + self.mode)
        if self.fail_mode == "stuck" or self.ether.now_us() < self._until:
            return False
        self.mode = "standby"
        return True

    def start_receive(self, symbols):
        if self.mode != "standby":
            raise Misuse("start_receive in mode " + self.mode)
        self.mode = "receive"
        now = self.ether.now_us()
        frequency, sf, bandwidth, _ = self._settings
        symbol = symbol_us(sf, bandwidth)
        self.windows.append((now, symbols, self._settings))
        del self.windows[:-_KEPT]
        self._until = now + symbols * symbol if symbols else None
        self._packet = None

    def _hear(self, now):
        # Six symbols of the preamble inside the window: what an SX127x needs to lock (air.py).
        symbol = symbol_us(*self._settings[1:3])
        opened, symbols, _ = self.windows[-1]
        for frame in self.ether.down:
            payload, start, settings, rssi, snr = frame
            overlap = min(start + _PREAMBLE * symbol, opened + symbols * symbol) - max(start, opened)
            if settings == self._settings and overlap >= 5 * symbol and start <= now:
                self.ether.down.remove(frame)
                return (start + airtime_us(*self._settings[1:3], len(payload), crc=False), payload, rssi, snr)

    def poll_receive(self):
        if self.mode != "receive":
            raise Misuse("poll_receive in mode " + self.mode)
        now = self.ether.now_us()
        if self.fail_mode == "stuck":
            return None
        if self._packet is None and self.fail_mode != "deaf":
            self._packet = self._hear(now)
        if self._packet:
            if now < self._packet[0]:
                return None
            self.mode = "standby"
            _, payload, rssi, snr = self._packet
            # A corrupt frame, here one without an SNR, never gets past the driver.
            return Packet(payload, rssi, snr) if snr is not None else False
        if self._until is not None and now >= self._until:
            self.mode = "standby"
            return False
        return None

    def noise(self):
        if self.mode != "receive":
            raise Misuse("noise in mode " + self.mode)
        self.listened += 1
        return self.busy.get(self._settings[0], self.noise_dbm)

    def standby(self):
        self.mode = "standby"

    def sleep(self):
        if self.mode == "send":
            raise Misuse("sleep in mode " + self.mode)
        self.mode = "sleep"

    def fail(self, reason):
        self.mode = "standby"
        self.faults += 1
        raise RadioFault(reason)
