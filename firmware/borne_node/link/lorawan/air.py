"""Frames on the air: which channel may be taken now, the transmission, and the two receive windows after it.

All waiting of the stack is here, and goes through the clock that was handed in. The radio is a chip driver
(`borne_node.chips.lora.Radio`).
"""

from borne_node.chips.lora import LONGEST, airtime_us, symbol_us
from borne_node.compat import const, ticks_add, ticks_diff
from borne_node.errors import LinkDown

_READY_MS = const(20)  # before a window: time to set the radio up
_GRACE_MS = const(1000)  # over the computed end of a frame until the radio is taken as dead
_POLL_MS = const(1)
_BUSY_S = const(8)
_NEEDED = const(6)  # symbols: what an SX127x or SX126x needs to detect a preamble, with one to spare
_MOST = const(248)  # symbols: the most that an SX126x can be told (datasheet Rev. 2.1, 13.4.9)
# The end of the uplink is seen by polling once a millisecond, and ticks are whole ones.
_TICK_US = const(2000)


class NotBefore(LinkDown):
    """The law, fair use or a back-off forbids to send now. `when`: unix seconds from which it is allowed."""

    def __init__(self, reason, when):
        super().__init__("%s, not before %d" % (reason, when))
        self.when = when


class Air:
    """`duty` is the DutyCycle account; `gain` the antenna's in dBi; `error_ppm` the clock's."""

    def __init__(self, plan, radio, clock, entropy, duty, gain, error_ppm):
        self._plan = plan
        self._radio = radio
        self._clock = clock
        self._entropy = entropy
        self._duty = duty
        self._gain = gain
        self._error_ppm = error_ppm

    def random(self, below):
        return int.from_bytes(self._entropy(4), "little") % below

    def choose(self, channels, rate, length):
        """A channel that may send a frame of `length` bytes now. Raises NotBefore with the earliest time."""
        airtime = airtime_us(*self._plan.rate(rate), length)
        waits = []

        def allowed(frequency):
            wait = self._duty.wait(self._plan.band(frequency), airtime)
            waits.append(wait)
            return wait == 0 and (not self._plan.listen or self._clear(frequency, *self._plan.rate(rate)))

        index = channels.pick(rate, self._entropy, allowed)
        if index is None:
            wait = min(waits) if waits else 0
            if wait:
                raise NotBefore("airtime is used up", self._clock.now() + wait)
            # Who waited for the same frame to end must not speak together after it.
            raise NotBefore("every channel is busy", self._clock.now() + 1 + self.random(_BUSY_S))
        return index

    def _clear(self, frequency, sf, bandwidth):
        # Loaded only where the region wants it.
        from borne_node.link.lorawan.listen import clear

        return clear(self._radio, self._clock, frequency, sf, bandwidth, *self._plan.listen)

    def _power(self, channels, frequency, eirp):
        eirp = min(eirp, self._plan.bands[self._plan.band(frequency)][3])
        fewest, less = self._plan.few
        if fewest and channels.narrow(channels.mask) < fewest:
            eirp = min(eirp, less)
        return eirp - self._gain

    def transmit(self, channels, index, rate, frame, eirp, aggregate, before):
        """Send at most `eirp` dBm; `before()` runs when the airtime is accounted for and the frame not yet sent.

        Returns the ticks at which the frame had left. Raises the driver's RadioFault.
        """
        clock, radio = self._clock, self._radio
        frequency = channels.get(index)[0]
        sf, bandwidth = self._plan.rate(rate)
        airtime = airtime_us(sf, bandwidth, len(frame))
        self._duty.spend(self._plan.band(frequency), airtime, aggregate)
        before()
        radio.configure(frequency, sf, bandwidth, power=self._power(channels, frequency, eirp))
        radio.start_send(frame)
        clock.sleep_ms(max(0, airtime // 1000 - 2))
        start = clock.ticks_ms()
        while not radio.poll_send():
            if ticks_diff(clock.ticks_ms(), start) > _GRACE_MS:
                radio.fail("no end of transmission")
            clock.sleep_ms(_POLL_MS)
        return clock.ticks_ms()

    def windows(self, ended, delay_ms, rx1, rx2, take):
        """What `take(packet, rate)` makes of the first window that gives anything, or None."""
        for place, (frequency, rate) in enumerate((rx1, rx2)):
            if self._plan.rate(rate):
                packet = self._window(frequency, rate, ended, delay_ms + 1000 * place)
                taken = take(packet, rate) if packet else None
                if taken is not None:
                    break
        else:
            taken = None
        self._radio.sleep()
        return taken

    def _window(self, frequency, rate, ended, delay_ms):
        clock, radio = self._clock, self._radio
        sf, bandwidth = self._plan.rate(rate)
        early, symbols = window(sf, bandwidth, delay_ms, self._error_ppm, radio.START_MS)
        opens = ticks_add(ended, delay_ms + early)
        if ticks_diff(opens, clock.ticks_ms()) < 0:
            return None
        self._sleep_until(ticks_add(opens, -_READY_MS))
        radio.configure(frequency, sf, bandwidth, inverted=True)
        self._sleep_until(opens)
        radio.start_receive(symbols)
        longest = airtime_us(sf, bandwidth, LONGEST) + symbols * symbol_us(sf, bandwidth)
        limit = ticks_add(clock.ticks_ms(), longest // 1000 + _GRACE_MS)
        while True:
            packet = radio.poll_receive()
            if packet is not None:
                return packet or None
            if ticks_diff(clock.ticks_ms(), limit) > 0:
                radio.fail("no end of reception")
            clock.sleep_ms(_POLL_MS)

    def _sleep_until(self, ticks):
        left = ticks_diff(ticks, self._clock.ticks_ms())
        if left > 0:
            self._clock.sleep_ms(left)


def window(sf, bandwidth, delay_ms, error_ppm, start_ms=0):
    """(ms from the nominal opening, symbols) of a window `delay_ms` after the end of the uplink.

    The rule is LoRaMac-node's RegionCommonComputeRxWindowParameters: six symbols of the eight of the preamble must
    fall into the window however early or late the two clocks are.

    `error_ppm` is the error of the node's clock; `start_ms` what the radio takes from the command to listening.
    """
    symbol = symbol_us(sf, bandwidth)
    error = _TICK_US + delay_ms * error_ppm // 1000
    symbols = max(_NEEDED, -(-((2 * _NEEDED - 8) * symbol + 2 * error) // symbol))
    symbols = min(symbols, _MOST)
    opening = 4 * symbol - symbols * symbol // 2
    return opening // 1000 - start_ms, symbols
