"""Where and when a network server's answer goes on the air: the two receive windows of a class A device."""

from __future__ import annotations

from typing import Any

from pamoja._native import GatewayRxpk, GatewayTxpk, LoraLink

_TICKS = 1 << 32
_SECOND_US = 1_000_000


class Answering:
    """`plan` is the firmware's of the region. Each `rx2_every`-th answer goes into the second window; 0: none does."""

    def __init__(self, plan: Any, rx2_every: int = 0) -> None:
        self._plan = plan
        self._rx2_every = rx2_every
        self._answers = 0

    def to(self, heard: GatewayRxpk, frame: bytes, first_us: int) -> GatewayTxpk:
        """`frame` as the answer to `heard`. `first_us`: the concentrator's counter when the first window opens."""
        self._answers += 1
        if self._rx2_every and self._answers % self._rx2_every == 0:
            frequency, rate = self._plan.rx2
            at = first_us + _SECOND_US
        else:
            frequency, rate = self._first(heard)
            at = first_us
        sf, bandwidth = self._plan.rate(rate)
        # RP002-1.0.4: a downlink has no CRC and an inverted polarity.
        return GatewayTxpk(
            frequency,
            frame,
            link=LoraLink(sf, bandwidth),
            timestamp_us=at % _TICKS,
            power_dbm=self._plan.max_eirp,
            invert_polarity=True,
            without_crc=True,
        )

    def _first(self, heard: GatewayRxpk) -> tuple[int, int]:
        """(Hz, data rate) of the first window: the uplink's channel, or that of a fixed plan, and its data rate."""
        link = heard.link
        assert link is not None
        frequency = heard.frequency_hz
        if self._plan.fixed:
            frequency = self._fixed(frequency)
        rate = self._plan.rates.index((link.spreading_factor, link.bandwidth_hz))
        return frequency, self._plan.rx1_rate(rate, 0, False)

    def _fixed(self, frequency: int) -> int:
        index = 0
        for first, step, count, _, _ in self._plan.fixed:
            place, rest = divmod(frequency - first, step)
            if not rest and 0 <= place < count:
                down, width, channels = self._plan.down
                return int(down + (index + place) % channels * width)
            index += count
        return frequency
