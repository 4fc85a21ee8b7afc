"""SPI bus and pins between a radio driver and a simulated chip, and the antenna behind it.

Every access takes some of the time.

Checks what the chip cannot see: NSS goes low before an SPI frame, high after it, and one frame is one transfer.
"""

from silicon import lora_air


class Pin:
    def __init__(self, set_level=None, get_level=None, level=1):
        self._set = set_level
        self._get = get_level
        self.level = level

    def value(self, *level):
        if not level:
            return self._get()
        self.level = level[0]
        if self._set:
            self._set(level[0])
        return None


class RadioBus:
    """`frames` holds the last SPI frames as (sent, answered), as many as `keep` says.

    `cut` drops the bus: MISO floats high, and the chip hears nothing. `cut_after` frames it is cut by itself.
    """

    SPI_HZ = 8_000_000

    def __init__(self, chip, clock):
        self.chip = chip
        self.clock = clock
        self._base = clock.ticks_ms()
        self._extra_us = 0
        self._last_ms = 0
        self.frames = []
        self.keep = 64
        self.cut = False
        self.cut_after = None
        self._selected = self._used = False
        self.cs = Pin(self._select)
        self.reset = Pin(lambda level: chip.reset(level, self.now_us()))
        self.busy = Pin(get_level=lambda: self._busy())

    def now_us(self):
        """The clock's milliseconds, and within one what the accesses since have taken."""
        now = (self.clock.ticks_ms() - self._base) & ((1 << 30) - 1)
        if now > self._last_ms:
            # What was spent within the last millisecond is part of it.
            self._extra_us = max(0, self._extra_us - (now - self._last_ms) * 1000)
            self._last_ms = now
        return now * 1000 + self._extra_us

    def _spend(self, us):
        now = self.now_us()
        self._extra_us += us
        return now + us

    def _busy(self):
        self._spend(3)  # a turn of a loop over Pin.value() in MicroPython on the ESP32
        return 0 if self.cut else self.chip.level(self.now_us())

    def _select(self, level):
        if level and self._selected and not self._used:
            raise AssertionError("an empty NSS frame")
        self._selected, self._used = not level, False

    # machine.SPI

    def write_readinto(self, out, into):
        if not self._selected:
            raise AssertionError("SPI without NSS")
        if self._used:
            raise AssertionError("one NSS frame is one transfer")
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        self._used = True
        if self.cut_after is not None:
            self.cut_after -= 1
            self.cut = self.cut or self.cut_after < 0
        sent = bytes(out)
        now = self._spend(len(sent) * 8_000_000 // self.SPI_HZ)
        answer = b"\xff" * len(sent) if self.cut else self.chip.transfer(sent, now)
        into[:] = answer
        if self.keep:
            self.frames.append((sent, answer))
            del self.frames[: -self.keep]


class Antenna:
    """Between a simulated chip and the network server: the frames of one are those of the other."""

    def __init__(self, chip):
        self.chip = chip
        self.listeners = []
        self.down = self
        chip.on_air = self.up

    def up(self, packet):
        assert packet.corrupt is None and not packet.inverted and packet.crc and packet.sync == 0x34
        # The frequency steps of the chips are 61 Hz and 1 Hz; every channel is a multiple of 2.5 kHz.
        frequency = (packet.frequency + 1250) // 2500 * 2500
        for listener in self.listeners:
            listener(
                packet.payload,
                packet.start_us,
                packet.end_us,
                frequency,
                packet.sf,
                packet.bandwidth,
                packet.power,
            )

    def append(self, frame):
        payload, start, (frequency, sf, bandwidth, inverted), rssi, snr = frame
        packet = lora_air.Transmission(payload, start, frequency, sf, bandwidth, inverted=inverted, crc=False)
        packet.rssi, packet.snr = rssi, snr
        self.chip.hear(packet)
