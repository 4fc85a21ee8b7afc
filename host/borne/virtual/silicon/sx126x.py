"""Semtech SX1262 and SX1261, LoRa packets, at command level (SX1261/2 datasheet Rev. 2.1).

`transfer` is one NSS frame: an opcode, its parameters, and the answer in the same places. `busy` is the BUSY pin.
Chapter 15 (known limitations) is modelled where leaving out its workaround would be noticed on the air.
"""

from .lora_air import Receiver, Transceiver, Transmission

_TX_DONE, _RX_DONE, _PREAMBLE, _SYNC, _HEADER = 0x001, 0x002, 0x004, 0x008, 0x010
_HEADER_ERROR, _CRC_ERROR, _CAD_DONE, _CAD_SEEN, _TIMEOUT = 0x020, 0x040, 0x080, 0x100, 0x200
_SLEEP, _STANDBY_RC, _STANDBY_XOSC, _RX, _TX = 0, 2, 3, 5, 6  # table 13-76
_OK, _DATA, _TIMED_OUT, _ERROR, _FAILED = 0, 2, 3, 4, 5

_BANDWIDTHS = {
    0x00: 7810, 0x08: 10420, 0x01: 15630, 0x09: 20830, 0x02: 31250,
    0x0A: 41670, 0x03: 62500, 0x04: 125000, 0x05: 250000, 0x06: 500000,
}  # fmt: skip
# Table 12-1, reset values.
_REGISTERS = {
    0x0706: 0x00, 0x0736: 0x0D, 0x0740: 0x14, 0x0741: 0x24, 0x0889: 0x01,
    0x08AC: 0x94, 0x08D8: 0xC8, 0x08E7: 0x38, 0x0902: 0x01, 0x0944: 0x00,
}  # fmt: skip
# Opcode: number of parameters (None: any), chapter 13.
_LENGTHS: "dict[int, int | None]" = {
    0x02: 2, 0x07: 2, 0x08: 8, 0x0D: None, 0x0E: None, 0x12: 3, 0x13: 3, 0x14: 4, 0x15: 2, 0x17: 3, 0x1D: None,
    0x1E: None, 0x80: 1, 0x82: 3, 0x83: 3, 0x84: 1, 0x86: 4, 0x88: 7, 0x89: 1, 0x8A: 1, 0x8B: 4, 0x8C: 6, 0x8E: 2,
    0x8F: 2, 0x95: 4, 0x96: 1, 0x97: 4, 0x98: 2, 0x9D: 1, 0xA0: 1, 0xC0: 1, 0xC5: 0,
}  # fmt: skip
_STANDBY_ONLY = (0x86, 0x89, 0x8A, 0x8B, 0x8C, 0x8E, 0x8F, 0x95, 0x97, 0x98, 0x0E, 0x83, 0x82, 0xC5)
_COMMAND_US = 2  # 8.3.1: a command that changes no mode keeps BUSY high for a moment
_SWITCH_US = {0x80: 31, 0x82: 83, 0x83: 126, 0xC5: 83}  # table 8-2: from STDBY_RC
_RESET_US = 3_500  # table 8-2: power-on and calibration
_WAKE_US = 340  # table 8-2: warm start
_CALIBRATE_US = 3_500
_STEP_US = 15.625


class SX126x(Transceiver):
    """`amplifier`: "high" (SX1262, SX1268, LLCC68) or "low" (SX1261). `tcxo`: the board has a TCXO on DIO3.

    It can also fail as "mute": a transmission does not end but by its time-out.
    """

    MODES = ("silent", "stuck", "mute")

    def __init__(self, on_air: "object" = None, amplifier: str = "high", tcxo: bool = False) -> None:
        super().__init__(on_air)
        self.amplifier = amplifier
        self.tcxo = tcxo
        self._held = False
        self._held_us = 0
        self._power_up(0)

    def _power_up(self, now_us: int) -> None:
        self.registers = dict(_REGISTERS)
        self._buffer = bytearray(256)
        self._state = _STANDBY_RC
        self._busy_us = now_us + _RESET_US
        self._status = _OK
        self._errors = 0x20 if self.tcxo else 0
        self._clock_ready = not self.tcxo
        self._irq = self._irq_mask = 0
        self.settings: "dict[int, bytes]" = {}
        self._until_us: "int | None" = None
        self._receiver: "Receiver | None" = None
        self._timer_us: "int | None" = None
        self._last_packet: "Transmission | None" = None
        self._last_length = 0

    def reset(self, level: int, now_us: int) -> None:
        """The NRESET pin."""
        self.at(now_us)
        if level and self._held:
            if now_us - self._held_us < 100:
                self.misuse("NRESET was low for less than 100 us (8.1)")
            self._power_up(now_us)
        self._held = not level
        self._held_us = now_us

    def level(self, now_us: int) -> int:
        """The BUSY pin (8.3.1): high while a command works, during reset and in sleep."""
        if self.mode == "silent":
            return 0
        return int(self.mode == "stuck" or self._held or self._state == _SLEEP or now_us < self._busy_us)

    def next_edge(self, now_us: int) -> "int | None":
        if self._held or self._state == _SLEEP or now_us >= self._busy_us:
            return None
        return self._busy_us

    def transfer(self, data: bytes, now_us: int) -> bytes:
        self.at(now_us)
        if self.mode == "silent":
            return bytes(len(data))
        if self._held:
            self.misuse("an SPI frame during reset")
        if self._state == _SLEEP:
            if data[0] != 0xC0:
                self.misuse("command %#x to a sleeping chip: it is lost (9.3)" % data[0])
            self._state = _STANDBY_RC
            self._busy_us = now_us + _WAKE_US
            return bytes(len(data))
        if self.level(now_us):
            self.misuse("an SPI frame while BUSY is high (8.3.1)")
        self._settle(now_us)
        return self._frame(data[0], bytes(data[1:]), now_us)

    def _frame(self, opcode: int, values: bytes, now_us: int) -> bytes:
        expected = _LENGTHS.get(opcode, -1)
        if expected == -1:
            self.misuse("command %#x does not exist" % opcode)
        if expected is not None and len(values) != expected:
            self.misuse("command %#x with %d parameters" % (opcode, len(values)))
        if opcode in _STANDBY_ONLY and self._state not in (_STANDBY_RC, _STANDBY_XOSC):
            self.misuse("command %#x in mode %d, not in standby" % (opcode, self._state))
        if opcode in (0x8B, 0x8C) and 0x8A not in self.settings:
            self.misuse("parameters before the packet type (13.4.2)")
        status = self._state << 4 | self._status << 1
        answer = bytearray(len(values) + 1)
        for place in range(len(answer)):
            answer[place] = status
        handler = getattr(self, "_x%02x" % opcode, None)
        self._busy_us = now_us + _SWITCH_US.get(opcode, _COMMAND_US)
        if handler is None:
            self.settings[opcode] = values
        else:
            result = handler(values, now_us)
            if result is not None:
                answer[len(answer) - len(result) :] = result
        return bytes(answer)

    # Registers and buffer

    def _x0d(self, values: bytes, now_us: int) -> None:
        address = values[0] << 8 | values[1]
        for place in range(2, len(values)):
            if address not in self.registers:
                self.misuse("register %#06x" % address)
            self.registers[address] = values[place]
            address += 1
        if (values[0] << 8 | values[1]) == 0x0902 and values[2] == 0:
            self._timer_us = None  # errata 15.3: stops the timer

    def _x1d(self, values: bytes, now_us: int) -> bytes:
        address = values[0] << 8 | values[1]
        return bytes(self.registers.get(address + place, 0) for place in range(len(values) - 3))

    def _x0e(self, values: bytes, now_us: int) -> None:
        for place in range(1, len(values)):
            self._buffer[(values[0] + place - 1) & 0xFF] = values[place]

    def _x1e(self, values: bytes, now_us: int) -> bytes:
        return bytes(self._buffer[(values[0] + place) & 0xFF] for place in range(len(values) - 2))

    # Status

    def _x12(self, values: bytes, now_us: int) -> bytes:
        return bytes((self._irq >> 8, self._irq & 0xFF))

    def _x02(self, values: bytes, now_us: int) -> None:
        self._irq &= ~(values[0] << 8 | values[1])

    def _x08(self, values: bytes, now_us: int) -> None:
        self._irq_mask = values[0] << 8 | values[1]

    def _x17(self, values: bytes, now_us: int) -> bytes:
        return bytes((self._errors >> 8, self._errors & 0xFF))

    def _x07(self, values: bytes, now_us: int) -> None:
        self._errors = 0

    def _x13(self, values: bytes, now_us: int) -> bytes:
        return bytes((self._last_length, self.settings.get(0x8F, b"\0\0")[1]))

    def _x14(self, values: bytes, now_us: int) -> bytes:
        packet = self._last_packet
        if packet is None:
            return b"\0\0\0"
        average = -2 * (packet.rssi - min(0, int(packet.snr)))
        return bytes((average & 0xFF, int(packet.snr * 4) & 0xFF, -2 * packet.rssi & 0xFF))

    def _x15(self, values: bytes, now_us: int) -> bytes:
        if self._state != _RX:
            self.misuse("the RSSI is measured while receiving (13.5.4)")
        return bytes((-2 * self.strength(now_us, self.frequency()) & 0xFF,))

    # Modes

    def _x80(self, values: bytes, now_us: int) -> None:
        if values[0] and not self._clock_ready:
            self._errors |= 0x20
            self._status = _FAILED
            return
        self._state = _STANDBY_XOSC if values[0] else _STANDBY_RC
        self._until_us = self._receiver = None

    def _x84(self, values: bytes, now_us: int) -> None:
        if self._state not in (_STANDBY_RC, _STANDBY_XOSC):
            self.misuse("SetSleep in mode %d (13.1.1)" % self._state)
        self._state = _SLEEP
        self._buffer = bytearray(256)
        self.registers[0x08AC] = 0x94  # 9.6: not among the registers that a warm start keeps
        if not values[0] & 4:
            self._power_up(now_us)
            self._state = _SLEEP

    def _x89(self, values: bytes, now_us: int) -> None:
        self._busy_us = now_us + _CALIBRATE_US
        if not self._clock_ready:
            self._errors |= 0x20

    def _x97(self, values: bytes, now_us: int) -> None:
        if self._state != _STANDBY_RC:
            self.misuse("SetDIO3AsTcxoCtrl outside STDBY_RC (13.3.6)")
        self._clock_ready = True
        self._errors |= 0x20
        self.settings[0x97] = values

    def _x98(self, values: bytes, now_us: int) -> None:
        if values[0] >= values[1]:
            self.misuse("an image calibration from %d to %d" % (values[0] * 4, values[1] * 4))
        self._busy_us = now_us + _CALIBRATE_US
        self.settings[0x98] = values

    def _x8a(self, values: bytes, now_us: int) -> None:
        if values[0] != 1:
            self.misuse("FSK is not modelled")
        self.settings[0x8A] = values

    def _x8e(self, values: bytes, now_us: int) -> None:
        if 0x95 not in self.settings:
            self.misuse("SetTxParams before SetPaConfig (14.2)")
        power = values[0] - 256 if values[0] > 127 else values[0]
        low, high = (-17, 14) if self.amplifier == "low" else (-9, 22)
        if not low <= power <= high:
            self.misuse("%d dBm (13.4.4)" % power)
        self.settings[0x8E] = values

    def _x95(self, values: bytes, now_us: int) -> None:
        if values[2] != (1 if self.amplifier == "low" else 0) or values[3] != 1:
            self.misuse("SetPaConfig %s for the %s power amplifier" % (list(values), self.amplifier))
        self.settings[0x95] = values

    # Settings

    def frequency(self) -> int:
        word = int.from_bytes(self.settings.get(0x86, b"\0\0\0\0"), "big")
        return (word * 32_000_000) >> 25

    def _check(self) -> "tuple[int, int]":
        for opcode in (0x86, 0x8A, 0x8B, 0x8C):
            if opcode not in self.settings:
                self.misuse("command %#x is missing (14.2, 14.3)" % opcode)
        sf, code, coding, optimised = self.settings[0x8B]
        if not 5 <= sf <= 12 or code not in _BANDWIDTHS or not 1 <= coding <= 4:
            self.misuse("modulation %s" % list(self.settings[0x8B]))
        bandwidth = _BANDWIDTHS[code]
        if ((1 << sf) * 1_000_000 / bandwidth >= 16_384) != bool(optimised):
            self.misuse("LowDataRateOptimize does not fit SF%d and %d Hz (6.1.1.4)" % (sf, bandwidth))
        return sf, bandwidth

    def _sync(self) -> int:
        return self.registers[0x0740] & 0xF0 | self.registers[0x0741] >> 4

    def _power(self) -> int:
        power = self.settings[0x8E][0]
        power = power - 256 if power > 127 else power
        boosted = self.amplifier == "low" and self.settings[0x95][0] == 6 and power == 14
        return power + (1 if boosted else 0)

    # Transmit and receive

    def _x83(self, values: bytes, now_us: int) -> None:
        sf, bandwidth = self._check()
        if not self._clock_ready:
            self._errors |= 0x20
            self._status = _FAILED
            return
        if 0x8E not in self.settings:
            self.misuse("SetTx before SetTxParams (14.2)")
        packet = self.settings[0x8C]
        start = self.settings.get(0x8F, b"\0\0")[0]
        sent = Transmission(
            bytes(self._buffer[(start + place) & 0xFF] for place in range(packet[3])),
            now_us,
            self.frequency(),
            sf,
            bandwidth,
            coding=4 + self.settings[0x8B][2],
            inverted=bool(packet[5]),
            crc=bool(packet[4]),
            header=not packet[2],
            preamble=packet[0] << 8 | packet[1],
            sync=self._sync(),
            power=self._power(),
        )
        # Errata 15.1 and 15.4: without the workarounds the packet is sent, and badly.
        if bool(self.registers[0x0889] & 4) == (bandwidth == 500_000):
            sent.corrupt = "payload"
        if bool(self.registers[0x0736] & 4) == sent.inverted:
            sent.corrupt = "header"
        self._state = _TX
        self._until_us = sent.end_us
        limit = int.from_bytes(values, "big")
        self._timer_us = now_us + int(limit * _STEP_US) if limit else None
        self.radiate(sent)

    def _x82(self, values: bytes, now_us: int) -> None:
        sf, bandwidth = self._check()
        if not self._clock_ready:
            self._errors |= 0x20
            self._status = _FAILED
            return
        steps = int.from_bytes(values, "big")
        code = self.settings.get(0xA0, b"\0")[0]
        until = None
        if steps != 0xFFFFFF:
            if steps:
                self._timer_us = now_us + int(steps * _STEP_US)
            if code:
                until = now_us + int(code * (1 << sf) * 1_000_000 / bandwidth)
        packet = self.settings[0x8C]
        wanted: "dict[str, object]" = {
            "frequency": self.frequency(),
            "sf": sf,
            "bandwidth": bandwidth,
            "inverted": bool(packet[5]),
            "sync": self._sync(),
            "header": not packet[2],
        }
        self._state = _RX
        # Errata 15.4: with the wrong polarity bit packets are lost; here all of them.
        deaf = bool(self.registers[0x0736] & 4) == bool(packet[5])
        self._receiver = Receiver(now_us, until, {"sf": 0, "frequency": 0} if deaf else wanted)

    def _xc5(self, values: bytes, now_us: int) -> None:
        sf, bandwidth = self._check()
        if 0x88 not in self.settings:
            self.misuse("SetCad before SetCadParams (13.4.7)")
        self._state = _RX
        self._until_us = now_us + int((1 << self.settings[0x88][0]) * (1 << sf) * 1_000_000 / bandwidth)

    def _raise(self, flags: int) -> None:
        self._irq |= flags & self._irq_mask

    def _settle(self, now_us: int) -> None:
        """Let happen what happened since the last frame."""
        if self._state == _TX and self._until_us is not None:
            if self.mode == "mute":
                if self._timer_us is not None and now_us >= self._timer_us:
                    self._done(_TIMEOUT)
            elif now_us >= self._until_us:
                self._timer_us = None
                self._done(_TX_DONE)
        elif self._state == _RX and self._receiver is None and self._until_us is not None:
            if now_us >= self._until_us:
                self._done(_CAD_DONE | (_CAD_SEEN if self._channel_active() else 0))
        elif self._receiver is not None:
            self._receive(now_us)

    def _channel_active(self) -> bool:
        sf, bandwidth = self._check()
        at_us = self._until_us or 0
        return any(
            p.sf == sf
            and p.bandwidth == bandwidth
            and abs(p.frequency - self.frequency()) < bandwidth // 4
            and p.start_us + 2 * p.symbol_us <= at_us <= p.end_us
            for p in self._heard
        )

    def _receive(self, now_us: int) -> None:
        receiver = self._receiver
        assert receiver is not None
        found = self.lock(receiver)
        limits = [limit for limit in (receiver.until_us, self._timer_us) if limit is not None]
        # Errata 15.3: with the implicit header the timer runs on after the preamble.
        if found is not None and (not limits or found[0] <= min(limits)):
            if now_us >= found[1].end_us:
                self._received(found[1])
        elif limits and now_us >= min(limits):
            self._timer_us = None
            self._done(_TIMEOUT)

    def _received(self, packet: Transmission) -> None:
        self.forget(packet.end_us)
        if packet.corrupt == "header":
            self._raise(_PREAMBLE | _HEADER_ERROR)
            return
        length = len(packet.payload) if packet.header else self.settings[0x8C][3]
        payload = packet.payload if not packet.corrupt else bytes(b ^ 0x55 for b in packet.payload)
        base = self.settings.get(0x8F, b"\0\0")[1]
        for place in range(min(length, len(payload))):
            self._buffer[(base + place) & 0xFF] = payload[place]
        self._last_packet = packet
        self._last_length = length
        if packet.header:
            self._timer_us = None
        failed = packet.crc and packet.corrupt == "payload"
        self._done(_PREAMBLE | _SYNC | _HEADER | _RX_DONE | (_CRC_ERROR if failed else 0))

    def _done(self, flags: int) -> None:
        self._raise(flags)
        self._state = _STANDBY_RC
        self._until_us = self._receiver = None
