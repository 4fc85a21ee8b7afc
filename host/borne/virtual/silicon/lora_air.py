"""LoRa packets on the air, and what the SX127x and SX126x share: when a receiver hears one.

Time on air is computed here from the formula of the datasheets and not taken from the firmware, which is checked by it.
"""

from . import Chip, Misuse

# Symbols of a preamble that the modem has to see: SX1261/2 datasheet Rev. 2.1, 6.1.1.1 (5 to 6 with SF 7 to 12).
_LOCK = 5


class Transmission:
    """One packet from `start_us` to `end_us`. `snr` and `rssi` are what a receiver sees; the air sets them.

    `corrupt`: None, "payload" or "header".
    """

    def __init__(
        self,
        payload: bytes,
        start_us: int,
        frequency: int,
        sf: int,
        bandwidth: int,
        coding: int = 5,
        inverted: bool = False,
        crc: bool = True,
        header: bool = True,
        preamble: int = 8,
        sync: int = 0x34,
        power: int = 14,
    ) -> None:
        self.payload = payload
        self.start_us = start_us
        self.frequency = frequency
        self.sf = sf
        self.bandwidth = bandwidth
        self.coding = coding
        self.inverted = inverted
        self.crc = crc
        self.header = header
        self.preamble = preamble
        self.sync = sync
        self.power = power
        self.rssi = -90
        self.snr = 8.0
        self.corrupt: "str | None" = None
        self.symbol_us = (1 << sf) * 1_000_000 / bandwidth
        self.preamble_end_us = start_us + int(preamble * self.symbol_us)
        self.end_us = start_us + int(self._symbols() * self.symbol_us + 0.5)

    def _symbols(self) -> float:
        # Semtech AN1200.13; SX1261/2 datasheet 6.1.4 for SF5 and SF6.
        optimised = 2 if self.symbol_us >= 16_384 else 0
        wide = self.sf > 6
        bits = 8 * len(self.payload) + 16 * self.crc - 4 * self.sf + (8 if wide else 0) + 20 * self.header
        blocks = -(-max(bits, 0) // (4 * (self.sf - optimised)))
        return self.preamble + (4.25 if wide else 6.25) + 8 + blocks * self.coding


class Receiver:
    """Settings and limits of one listening period; `until_us` None: no limit on the search."""

    def __init__(self, start_us: int, until_us: "int | None", settings: "dict[str, object]") -> None:
        self.start_us = start_us
        self.until_us = until_us
        self.settings = settings

    def locks(self, packet: Transmission) -> "int | None":
        """When the modem locks on this packet, or None."""
        for name, wanted in self.settings.items():
            if name != "frequency" and getattr(packet, name) != wanted:
                return None
        # SX1276 datasheet 4.1.1.4: a quarter of the bandwidth is tolerated.
        if abs(packet.frequency - self.settings["frequency"]) > packet.bandwidth // 4:  # type: ignore[operator]
            return None
        locked = max(self.start_us, packet.start_us) + int(_LOCK * packet.symbol_us)
        if locked > packet.preamble_end_us:
            return None
        if self.until_us is not None and locked > self.until_us:
            return None
        return locked


class Transceiver(Chip):
    """`on_air(packet)` is called when this chip transmits; `hear(packet)` hands it a packet of somebody else."""

    MODES: "tuple[str, ...]" = ("silent", "stuck")

    def __init__(self, on_air: "object" = None) -> None:
        self.on_air = on_air
        self.noise_dbm = -120
        self._heard: "list[Transmission]" = []
        self.sent: "list[Transmission]" = []

    def hear(self, packet: Transmission) -> None:
        self._heard.append(packet)

    def radiate(self, packet: Transmission) -> None:
        self.sent.append(packet)
        if callable(self.on_air):
            self.on_air(packet)

    def strength(self, now_us: int, frequency: int) -> int:
        """dBm in a channel of 125 kHz: what is on the air there now, or else the noise."""
        return max(
            (
                one.rssi
                for one in self._heard
                if one.start_us <= now_us < one.end_us
                and abs(one.frequency - frequency) < (one.bandwidth + 125_000) // 2
            ),
            default=self.noise_dbm,
        )

    def lock(self, receiver: Receiver) -> "tuple[int, Transmission] | None":
        """The first packet that `receiver` locks on, with the time."""
        found = None
        for packet in self._heard:
            locked = receiver.locks(packet)
            if locked is not None and (found is None or locked < found[0]):
                found = (locked, packet)
        return found

    def forget(self, now_us: int) -> None:
        """Drop what is over."""
        self._heard = [packet for packet in self._heard if packet.end_us > now_us]

    def misuse(self, what: str) -> None:
        raise Misuse("%s: %s" % (type(self).__name__, what))
