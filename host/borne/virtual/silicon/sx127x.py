"""Semtech SX1276 in LoRa mode, at register level (SX1276/77/78/79 datasheet Rev. 7).

`transfer` is one NSS frame. It keeps the two register pages, the FIFO and the modes, and refuses what the silicon
refuses or what the datasheet forbids.
"""

from .lora_air import Receiver, Transceiver, Transmission

_FIFO, _OP_MODE, _FRF, _PA_CONFIG, _FIFO_PTR = 0x00, 0x01, 0x06, 0x09, 0x0D
_TX_BASE, _RX_BASE, _RX_CURRENT, _IRQ_MASK, _IRQ = 0x0E, 0x0F, 0x10, 0x11, 0x12
_RX_BYTES, _SNR, _PACKET_RSSI, _RSSI, _HOP = 0x13, 0x19, 0x1A, 0x1B, 0x1C
_CONFIG_1, _CONFIG_2, _SYMBOLS, _PREAMBLE, _LENGTH = 0x1D, 0x1E, 0x1F, 0x20, 0x22
_CONFIG_3, _DETECT, _INVERT, _THRESHOLD, _SYNC = 0x26, 0x31, 0x33, 0x37, 0x39
_INVERT_2, _VERSION, _PA_DAC = 0x3B, 0x42, 0x4D
_IMAGE_CAL = 0x3B  # FSK page

_SLEEP, _STANDBY, _TX, _RX_CONTINUOUS, _RX_SINGLE, _CAD = 0, 1, 3, 5, 6, 7
_TIMEOUT, _RX_DONE, _CRC_ERROR, _HEADER, _TX_DONE, _CAD_DONE, _CAD_SEEN = (
    0x80,
    0x40,
    0x20,
    0x10,
    0x08,
    0x04,
    0x01,
)

_BANDWIDTHS = (7810, 10420, 15630, 20830, 31250, 41670, 62500, 125000, 250000, 500000)
# Table 41, default values in LoRa mode (those that differ from zero).
_LORA_RESET = {
    0x01: 0x09, 0x06: 0x6C, 0x07: 0x80, 0x09: 0x4F, 0x0A: 0x09, 0x0B: 0x2B, 0x0C: 0x20, 0x0E: 0x80,
    0x1D: 0x72, 0x1E: 0x70, 0x1F: 0x64, 0x21: 0x08, 0x22: 0x01, 0x23: 0xFF, 0x26: 0x04, 0x2F: 0x20,
    0x31: 0xC3, 0x33: 0x27, 0x36: 0x03, 0x37: 0x0A, 0x39: 0x12, 0x3B: 0x1D, 0x42: 0x12, 0x4B: 0x09, 0x4D: 0x84,
}  # fmt: skip
_PAGED = (0x0D, 0x3F)  # 4.1.3: these addresses have another register in FSK mode
_READY_US = 5_000  # 7.2.2
_CALIBRATION_US = 1_000  # 2.1.3.8
_SINGLE_RX_START_US = 100  # table 10, TS_RE
_FRAME_LIMIT = 257


class SX127x(Transceiver):
    """`boost`: the board's antenna hangs on PA_BOOST; a transmission by the other pin is a Misuse."""

    def __init__(self, on_air: "object" = None, boost: bool = True) -> None:
        super().__init__(on_air)
        self.boost = boost
        self._held = False
        self._held_us = 0
        self._power_up(0)

    def _power_up(self, now_us: int) -> None:
        self.registers = bytearray(0x80)
        for address, value in _LORA_RESET.items():
            self.registers[address] = value
        self._fsk = bytearray(0x80)
        self._fifo = bytearray(256)
        self._ready_us = now_us + _READY_US
        self._mode = _STANDBY
        self._until_us: "int | None" = None
        self._receiver: "Receiver | None" = None
        self._calibrated_us = 0

    def reset(self, level: int, now_us: int) -> None:
        """The NRESET pin."""
        self.at(now_us)
        if level and self._held:
            if now_us - self._held_us < 100:
                self.misuse("NRESET was low for less than 100 us (7.2.2)")
            self._power_up(now_us)
        self._held = not level
        self._held_us = now_us

    def transfer(self, data: bytes, now_us: int) -> bytes:
        """One NSS frame: an address, then bytes that are written or read from there on (2.2)."""
        self.at(now_us)
        if self.mode == "silent":
            return bytes(len(data))
        if self._held or now_us < self._ready_us:
            self.misuse("an SPI frame during reset")
        if len(data) < 2 or len(data) > _FRAME_LIMIT:
            self.misuse("an SPI frame of %d bytes" % len(data))
        self._settle(now_us)
        address = data[0] & 0x7F
        answer = bytearray(len(data))
        for place in range(1, len(data)):
            if data[0] & 0x80:
                self._write(address, data[place], now_us)
            else:
                answer[place] = self._read(address)
            if address:  # 2.2: the FIFO is accessed at one address
                address += 1
        return bytes(answer)

    def _lora(self) -> bool:
        return bool(self.registers[_OP_MODE] & 0x80)

    def _page(self, address: int) -> bytearray:
        return self._fsk if not self._lora() and _PAGED[0] <= address <= _PAGED[1] else self.registers

    def _read(self, address: int) -> int:
        if address == _FIFO:
            if self._mode == _SLEEP:
                self.misuse("the FIFO is not accessible in sleep mode (4.1.2.3)")
            pointer = self.registers[_FIFO_PTR]
            self.registers[_FIFO_PTR] = (pointer + 1) & 0xFF
            return self._fifo[pointer]
        if address == _RSSI:
            return max(0, self.strength(self._last_us, self.frequency()) + self._offset())
        if address == _IMAGE_CAL and not self._lora():
            return self._fsk[address] | (0x20 if self._last_us < self._calibrated_us else 0)
        return self._page(address)[address]

    def _write(self, address: int, value: int, now_us: int) -> None:
        if address == _FIFO:
            if self._mode != _STANDBY:
                self.misuse("the FIFO is filled in standby mode (4.1.6, figure 9)")
            pointer = self.registers[_FIFO_PTR]
            self._fifo[pointer] = value
            self.registers[_FIFO_PTR] = (pointer + 1) & 0xFF
        elif address == _OP_MODE:
            self._change_mode(value, now_us)
        elif address == _IRQ and self._lora():
            self.registers[_IRQ] &= ~value & 0xFF
        elif address == _IMAGE_CAL and not self._lora():
            if value & 0x40:
                if self._mode != _STANDBY:
                    self.misuse("the image calibration starts in standby mode (2.1.3.8)")
                self._calibrated_us = now_us + _CALIBRATION_US
            self._fsk[address] = value & 0x9F
        elif address not in (_VERSION, _RX_CURRENT, _RX_BYTES, _SNR, _PACKET_RSSI, _RSSI, _HOP):
            if self._mode in (_TX, _RX_SINGLE, _CAD) and address not in (_FIFO_PTR, _IRQ_MASK):
                self.misuse("register %#x is written while the modem works" % address)
            self._page(address)[address] = value

    def _change_mode(self, value: int, now_us: int) -> None:
        if (value ^ self.registers[_OP_MODE]) & 0x80 and self._mode != _SLEEP:
            self.misuse("LongRangeMode is changed outside sleep mode (4.1.6)")
        mode = value & 7
        if now_us < self._calibrated_us:
            self.misuse("the mode is changed during the image calibration")
        self.registers[_OP_MODE] = value
        self._mode = mode
        self._until_us = self._receiver = None
        if mode in (_TX, _RX_SINGLE, _RX_CONTINUOUS, _CAD):
            if not value & 0x80:
                self.misuse("FSK is not modelled")
            self._check_settings()
        if mode == _SLEEP:
            self._fifo = bytearray(256)  # 4.1.2.3: cleared in sleep mode
        elif mode == _TX:
            self._transmit(now_us)
        elif mode in (_RX_SINGLE, _RX_CONTINUOUS):
            self._listen(now_us)
        elif mode == _CAD:
            self._until_us = now_us + int(1.85 * self._symbol_us())  # table 14, about SF9

    # Settings

    def _sf(self) -> int:
        return self.registers[_CONFIG_2] >> 4

    def _bandwidth(self) -> int:
        return _BANDWIDTHS[self.registers[_CONFIG_1] >> 4]

    def _symbol_us(self) -> float:
        return (1 << self._sf()) * 1_000_000 / self._bandwidth()

    def frequency(self) -> int:
        word = self.registers[_FRF] << 16 | self.registers[_FRF + 1] << 8 | self.registers[_FRF + 2]
        return (word * 32_000_000) >> 19

    def _offset(self) -> int:
        return 164 if self.registers[_OP_MODE] & 8 else 157

    def _check_settings(self) -> None:
        registers, sf = self.registers, self._sf()
        if not 6 <= sf <= 12 or registers[_CONFIG_1] >> 4 > 9:
            self.misuse("SF%d, bandwidth code %d" % (sf, registers[_CONFIG_1] >> 4))
        if sf == 6 and not registers[_CONFIG_1] & 1:
            self.misuse("SF6 needs the implicit header (4.1.1.2)")
        if (registers[_DETECT] & 7, registers[_THRESHOLD]) != ((5, 0x0C) if sf == 6 else (3, 0x0A)):
            self.misuse("the detector is set for another spreading factor (4.1.1.2)")
        if (self._symbol_us() >= 16_384) != bool(registers[_CONFIG_3] & 8):
            self.misuse("LowDataRateOptimize does not fit symbols of %d us (4.1.1.6)" % self._symbol_us())
        wide = self._bandwidth() == 500_000
        if bool(registers[_DETECT] & 0x80) != wide:
            self.misuse("AutomaticIFOn does not fit the bandwidth (Errata 2.3)")
        if wide and self.frequency() >= 862_000_000 and (registers[0x36], registers[0x3A]) != (2, 0x64):
            self.misuse("500 kHz without the settings of Errata 2.1")
        if (self.frequency() < 600_000_000) != bool(registers[_OP_MODE] & 8):
            self.misuse("LowFrequencyModeOn does not fit %d Hz" % self.frequency())

    def _power(self) -> int:
        config = self.registers[_PA_CONFIG]
        boost = bool(config & 0x80)
        if boost != self.boost:
            self.misuse("the other output pin is selected")
        if boost:
            return (config & 15) + (5 if self.registers[_PA_DAC] & 7 == 7 else 2)
        return int(10.8 + 0.6 * (config >> 4 & 7) + 0.5) - 15 + (config & 15)

    # Transmit and receive

    def _transmit(self, now_us: int) -> None:
        registers = self.registers
        start = registers[_TX_BASE]
        length = registers[_LENGTH]
        packet = Transmission(
            bytes(self._fifo[(start + place) & 0xFF] for place in range(length)),
            now_us,
            self.frequency(),
            self._sf(),
            self._bandwidth(),
            coding=4 + (registers[_CONFIG_1] >> 1 & 7),
            inverted=not registers[_INVERT] & 1,
            crc=bool(registers[_CONFIG_2] & 4),
            header=not registers[_CONFIG_1] & 1,
            preamble=registers[_PREAMBLE] << 8 | registers[_PREAMBLE + 1],
            sync=registers[_SYNC],
            power=self._power(),
        )
        if self.mode != "stuck":
            self._until_us = packet.end_us
            self.radiate(packet)

    def _listen(self, now_us: int) -> None:
        registers = self.registers
        start = now_us + _SINGLE_RX_START_US
        until = None
        if self._mode == _RX_SINGLE:
            symbols = (registers[_CONFIG_2] & 3) << 8 | registers[_SYMBOLS]
            if symbols < 4:
                self.misuse("a time-out of %d symbols (4.1.5: 4 at least)" % symbols)
            until = start + int(symbols * self._symbol_us())
        inverted = bool(registers[_INVERT] & 0x40)
        if registers[_INVERT_2] != (0x19 if inverted else 0x1D):
            self.misuse("RegInvertIQ2 does not fit RegInvertIQ")
        settings: "dict[str, object]" = {
            "frequency": self.frequency(),
            "sf": self._sf(),
            "bandwidth": self._bandwidth(),
            "inverted": inverted,
            "sync": registers[_SYNC],
            "header": not registers[_CONFIG_1] & 1,
        }
        self._receiver = Receiver(start, until, settings)

    def _settle(self, now_us: int) -> None:
        """Let happen what happened since the last frame."""
        if self.mode == "stuck":
            return
        if self._mode in (_TX, _CAD) and self._until_us is not None and now_us >= self._until_us:
            seen = _CAD_SEEN if self._mode == _CAD and self._preamble(self._until_us) else 0
            self._end(_TX_DONE if self._mode == _TX else _CAD_DONE | seen)
        while self._receiver is not None:
            found = self.lock(self._receiver)
            until = self._receiver.until_us
            if found is not None and now_us >= found[1].end_us:
                self._received(found[1])
            elif found is None and until is not None and now_us >= until:
                self._end(_TIMEOUT)
            else:
                return

    def _preamble(self, at_us: int) -> bool:
        symbol = self._symbol_us()
        return any(
            p.sf == self._sf()
            and p.bandwidth == self._bandwidth()
            and abs(p.frequency - self.frequency()) < p.bandwidth // 4
            and p.start_us + symbol <= at_us <= p.end_us
            for p in self._heard
        )

    def _received(self, packet: Transmission) -> None:
        registers = self.registers
        if packet.corrupt == "header":
            # No header, no packet: in single mode the search ends as if nothing had been there.
            self.forget(packet.end_us)
            if self._mode == _RX_SINGLE:
                self._end(_TIMEOUT)
            return
        base = registers[_RX_BASE]
        length = len(packet.payload) if packet.header else registers[_LENGTH]
        payload = packet.payload if not packet.corrupt else bytes(b ^ 0x55 for b in packet.payload)
        for place in range(length):
            self._fifo[(base + place) & 0xFF] = payload[place]
        registers[_RX_CURRENT] = base
        registers[_RX_BYTES] = length
        registers[_HOP] = 0x40 if packet.crc else 0
        registers[_SNR] = int(packet.snr * 4) & 0xFF
        registers[_PACKET_RSSI] = packet.rssi - min(0, int(packet.snr)) + self._offset()
        flags = _RX_DONE | (_HEADER if packet.header else 0)
        if packet.crc and packet.corrupt == "payload":
            flags |= _CRC_ERROR
        self.forget(packet.end_us)
        self._end(flags)

    def _end(self, flags: int) -> None:
        self.registers[_IRQ] |= flags & ~self.registers[_IRQ_MASK]
        if self._mode != _RX_CONTINUOUS:
            self._mode = _STANDBY
            self.registers[_OP_MODE] = self.registers[_OP_MODE] & 0xF8 | _STANDBY
            self._until_us = self._receiver = None
