"""Semtech SX1261, SX1262, SX1268 and LLCC68, LoRa packets.

DS: SX1261/2 datasheet Rev. 2.1; its chapter 15 lists the known limitations, called errata here.
"""

import struct

from borne_node.chips.lora import LONGEST, LORAWAN, Packet, Radio, airtime_us, low_rate, signed, symbol_us
from borne_node.compat import const

_CLEAR_IRQ = const(0x02)
_CLEAR_ERRORS = const(0x07)
_SET_DIO_IRQ = const(0x08)
_WRITE_REGISTER = const(0x0D)
_WRITE_BUFFER = const(0x0E)
_GET_IRQ = const(0x12)
_GET_RX_BUFFER = const(0x13)
_GET_PACKET_STATUS = const(0x14)
_GET_RSSI = const(0x15)
_GET_ERRORS = const(0x17)
_READ_REGISTER = const(0x1D)
_READ_BUFFER = const(0x1E)
_SET_STANDBY = const(0x80)
_SET_RX = const(0x82)
_SET_TX = const(0x83)
_SET_SLEEP = const(0x84)
_SET_FREQUENCY = const(0x86)
_SET_CAD_PARAMS = const(0x88)
_CALIBRATE = const(0x89)
_SET_PACKET_TYPE = const(0x8A)
_SET_MODULATION = const(0x8B)
_SET_PACKET = const(0x8C)
_SET_TX_PARAMS = const(0x8E)
_SET_BUFFER_BASE = const(0x8F)
_SET_PA_CONFIG = const(0x95)
_SET_REGULATOR = const(0x96)
_SET_TCXO = const(0x97)
_CALIBRATE_IMAGE = const(0x98)
_SET_RF_SWITCH = const(0x9D)
_SET_SYMBOLS = const(0xA0)
_GET_STATUS = const(0xC0)
_SET_CAD = const(0xC5)

_REG_SYNC_TIMEOUT = const(0x0706)
_REG_IQ_POLARITY = const(0x0736)
_REG_SYNC_WORD = const(0x0740)
_REG_TX_MODULATION = const(0x0889)
_REG_RX_GAIN = const(0x08AC)
_REG_TX_CLAMP = const(0x08D8)
_REG_RTC_CONTROL = const(0x0902)
_REG_EVENT_MASK = const(0x0944)

_IRQ_TX_DONE = const(0x0001)
_IRQ_RX_DONE = const(0x0002)
_IRQ_HEADER_ERROR = const(0x0020)
_IRQ_CRC_ERROR = const(0x0040)
_IRQ_CAD_DONE = const(0x0080)
_IRQ_CAD_DETECTED = const(0x0100)
_IRQ_TIMEOUT = const(0x0200)
_IRQ_ALL = const(0x03FF)

_AFTER_RESET = const(0x1424)  # DS table 12-1: LoRa sync word; the chip has no identification register
_STANDBY_RC = const(2)  # DS table 13-76: chip mode in the status byte
_BUSY_SPINS = const(100)  # DS table 8-2: up to 126 us between two modes; a turn of the loop takes some us
_BUSY_LIMIT_MS = const(100)  # the longest is a cold start with calibration and a TCXO of 50 ms
_RAMP = const(0x02)  # 40 us, as in Semtech's drivers (DS 13.4.4)
_STEP_US = 15.625  # DS 13.1.4: of time-outs
_XOSC_START = const(0x20)  # DS 13.3.6: this error is normal when a TCXO is told for the first time

# DS table 13-47: Hz and code.
_BANDWIDTHS = (
    (7810, 0x00),
    (10420, 0x08),
    (15630, 0x01),
    (20830, 0x09),
    (31250, 0x02),
    (41670, 0x0A),
    (62500, 0x03),
    (125000, 0x04),
    (250000, 0x05),
    (500000, 0x06),
)
# LLCC68 datasheet Rev. 1.0, table 6-1: bandwidth and highest spreading factor.
_LLCC68 = {125000: 9, 250000: 10, 500000: 11}
# DS 13.3.6, table 13-35.
_TCXO_MV = (1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300)
KINDS = ("sx1261", "sx1262", "sx1268", "llcc68")


class SX126x(Radio):
    """`kind` is one of KINDS. `busy` is the BUSY pin. `tcxo_mv`: DIO3 feeds a TCXO, None for a crystal.

    `rf_switch`: DIO2 drives the antenna switch. `dcdc`: the board has the inductor of the step-down converter.
    """

    START_MS = 1  # DS table 8-2: 62 us from standby (XOSC), and the SPI transfers before it

    def __init__(
        self, spi, cs, reset, busy, clock, kind="sx1262", tcxo_mv=None, rf_switch=True, dcdc=True, tcxo_ms=5
    ):
        if kind not in KINDS:
            raise ValueError("kind %r: known are %s" % (kind, ", ".join(KINDS)))
        if tcxo_mv is not None and tcxo_mv not in _TCXO_MV:
            raise ValueError("a TCXO of %d mV" % tcxo_mv)
        super().__init__(spi, cs, reset, clock)
        self._busy = busy
        self._kind = kind
        self._tcxo_mv = tcxo_mv
        self._tcxo_ms = tcxo_ms
        self._rf_switch = rf_switch
        self._dcdc = dcdc
        self.restart()

    def restart(self):
        self._asleep = False
        self._calibrated = None
        self._implicit = 0
        self._pull_reset()
        self._wait()
        if self._read_register(_REG_SYNC_WORD, 2) != _AFTER_RESET:
            self.fail("no SX126x answers")
        self._command(_SET_STANDBY, 0)
        if self._tcxo_mv:
            self._start_tcxo()
        if self._dcdc:
            self._command(_SET_REGULATOR, 1)
        if self._rf_switch:
            self._command(_SET_RF_SWITCH, 1)
        self._command(_SET_PACKET_TYPE, 1)
        self._command(_SET_BUFFER_BASE, 0, 0)
        self._command(
            _SET_DIO_IRQ, _IRQ_ALL >> 8, _IRQ_ALL & 0xFF, _IRQ_ALL >> 8, _IRQ_ALL & 0xFF, 0, 0, 0, 0
        )
        if self._kind != "sx1261":
            # Errata 15.2: antenna mismatch must not switch the high-power amplifier down.
            self._write_register(_REG_TX_CLAMP, self._read_register(_REG_TX_CLAMP) | 0x1E)

    def _start_tcxo(self):
        steps = int(self._tcxo_ms * 1000 / _STEP_US)
        self._command(_SET_TCXO, _TCXO_MV.index(self._tcxo_mv), steps >> 16, steps >> 8 & 0xFF, steps & 0xFF)
        # DS 9.2.1 and 13.3.6: all blocks again, for the first calibration ran without the clock.
        self._command(_CLEAR_ERRORS, 0, 0)
        self._command(_CALIBRATE, 0x7F)
        errors = self._read(_GET_ERRORS, 2)
        if struct.unpack(">H", errors)[0] & ~_XOSC_START:
            self.fail("the SX126x cannot calibrate")
        self._command(_CLEAR_ERRORS, 0, 0)

    # The bus

    def _wait(self):
        """Until BUSY is low (DS 8.3.1). A chip that stays busy is reset, and RadioFault raised."""
        for _ in range(_BUSY_SPINS):
            if not self._busy.value():
                return
        for _ in range(_BUSY_LIMIT_MS):
            self._clock.sleep_ms(1)
            if not self._busy.value():
                return
        self.fail("BUSY stays high")

    def _wake(self):
        # DS 9.3: the falling edge of NSS wakes the chip; what is clocked meanwhile is lost.
        self._asleep = False
        self._frame[0] = _GET_STATUS
        self._frame[1] = 0
        self._exchange(2)

    def _send(self, length):
        if self._asleep:
            self._wake()
        self._wait()
        return self._exchange(length)

    def _command(self, opcode, *values):
        # The waking frame uses the buffer too, so it comes first.
        if self._asleep:
            self._wake()
        self._frame[0] = opcode
        for place, value in enumerate(values):
            self._frame[1 + place] = value
        self._send(1 + len(values))

    def _read(self, opcode, count):
        """`count` bytes of an answer; the status byte comes before them (DS 13.5)."""
        if self._asleep:
            self._wake()
        for place in range(2 + count):
            self._frame[place] = 0
        self._frame[0] = opcode
        return self._send(2 + count)[2:]

    def _read_register(self, address, count=1):
        if self._asleep:
            self._wake()
        struct.pack_into(">BHBH", self._frame, 0, _READ_REGISTER, address, 0, 0)
        return int.from_bytes(self._send(4 + count)[4:], "big")

    def _write_register(self, address, *values):
        self._command(_WRITE_REGISTER, address >> 8, address & 0xFF, *values)

    # Settings

    def configure(
        self,
        frequency,
        sf,
        bandwidth,
        inverted=False,
        power=None,
        coding=5,
        crc=True,
        implicit=0,
        preamble=8,
        sync=LORAWAN,
    ):
        """Frequency and bandwidth in Hz, `coding` the denominator of 4/n, `power` in dBm at the chip's pin.

        `implicit` is the length of packets without a header; 0 for the explicit header. A `power` beyond the chip's
        is taken to its nearest. Raises ValueError for what the chip cannot do, and RadioFault.
        """
        code = [one[1] for one in _BANDWIDTHS if one[0] == bandwidth]
        if not code or not 5 <= sf <= 12 or not 5 <= coding <= 8 or not self._offers(sf, bandwidth):
            raise ValueError("SF%d, %d Hz, 4/%d: not with this chip" % (sf, bandwidth, coding))
        self._settings = (sf, bandwidth, coding, crc, preamble)
        self._inverted = inverted
        self._implicit = implicit
        self.standby()
        self._calibrate(frequency)
        word = ((frequency << 19) + 250_000) // 500_000  # DS 13.4.1: steps of 32 MHz / 2^25
        self._command(_SET_FREQUENCY, word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF, word & 0xFF)
        self._command(_SET_MODULATION, sf, code[0], coding - 4, low_rate(sf, bandwidth))
        # DS 6.1.6.1: 0xYZ of an SX127x is 0xY4Z4 here.
        word = (sync & 0xF0 | 4) << 8 | sync << 4 & 0xF0 | 4
        self._write_register(_REG_SYNC_WORD, word >> 8, word & 0xFF)
        if self._read_register(_REG_SYNC_WORD, 2) != word:
            self.fail("the SX126x does not answer")
        # Errata 15.4: inverted polarity loses packets unless this bit is cleared.
        polarity = self._read_register(_REG_IQ_POLARITY)
        self._write_register(_REG_IQ_POLARITY, polarity & ~4 if inverted else polarity | 4)
        if power is None:
            self._write_register(_REG_RX_GAIN, 0x96)  # DS 9.6: boosted gain; lost in every sleep
        else:
            self._amplifier(power, frequency)
            # Errata 15.1: modulation quality at 500 kHz; to be set before every packet.
            quality = self._read_register(_REG_TX_MODULATION)
            self._write_register(_REG_TX_MODULATION, quality & ~4 if bandwidth == 500_000 else quality | 4)

    def _offers(self, sf, bandwidth):
        return self._kind != "llcc68" or sf <= _LLCC68.get(bandwidth, 0)

    def _packet_params(self, length):
        _, _, _, crc, preamble = self._settings
        self._command(
            _SET_PACKET,
            preamble >> 8,
            preamble & 0xFF,
            bool(self._implicit),
            length,
            bool(crc),
            bool(self._inverted),
        )

    def _amplifier(self, power, frequency):
        # DS table 13-21, the settings of the highest power of each amplifier, as Semtech's drivers use them.
        if self._kind == "sx1261":
            power = max(-17, min(15, power))
            duty = 4
            if power == 15:
                # DS 13.1.14: a duty cycle of 6 gives +15 dBm; below 400 MHz it must not exceed 4.
                duty, power = (6 if frequency >= 400_000_000 else 4), 14
            self._command(_SET_PA_CONFIG, duty, 0, 1, 1)
        else:
            power = max(-9, min(22, power))
            self._command(_SET_PA_CONFIG, 4, 7, 0, 1)
        self._command(_SET_TX_PARAMS, power & 0xFF, _RAMP)

    def _calibrate(self, frequency):
        # DS 9.2.1: the image rejection is calibrated for 902 to 928 MHz after a reset. The limits are in steps of
        # 4 MHz, rounded outwards (Semtech's sx126x_driver, sx126x_cal_img_in_mhz).
        band = _image_band(frequency)
        if band != self._calibrated:
            self._command(_CALIBRATE_IMAGE, band[0] // 4, -(-band[1] // 4))
            self._calibrated = band

    # Packets

    def start_send(self, frame):
        """`frame`: 1 to 255 bytes."""
        length = len(frame)
        if not 1 <= length <= LONGEST:
            raise ValueError("a packet of %d bytes" % length)
        self._packet_params(length)
        self._frame[0] = _WRITE_BUFFER
        self._frame[1] = 0
        self._frame[2 : 2 + length] = frame
        self._send(2 + length)
        self._command(_CLEAR_IRQ, 0xFF, 0xFF)
        sf, bandwidth, coding, crc, preamble = self._settings
        # The chip itself ends a transmission that does not end: twice the time on air (DS 13.1.4).
        airtime = airtime_us(sf, bandwidth, length, coding, crc, not self._implicit, preamble)
        self._start(_SET_TX, min(0xFFFFFE, int(2 * airtime / _STEP_US) + 64))

    def _start(self, opcode, steps):
        self._command(opcode, steps >> 16, steps >> 8 & 0xFF, steps & 0xFF)

    def _irq(self):
        return struct.unpack(">H", self._read(_GET_IRQ, 2))[0]

    def poll_send(self):
        flags = self._irq()
        if flags & _IRQ_TIMEOUT:
            self.fail("the transmission timed out")
        if not flags & _IRQ_TX_DONE:
            return False
        self._command(_CLEAR_IRQ, 0xFF, 0xFF)
        return True

    def start_receive(self, symbols):
        """Listen until a preamble is found or `symbols` have passed; 0: until told otherwise."""
        sf, bandwidth = self._settings[:2]
        self._packet_params(self._implicit or LONGEST)
        self._command(_CLEAR_IRQ, 0xFF, 0xFF)
        self._set_symbols(symbols)
        if not symbols:
            self._start(_SET_RX, 0xFFFFFF)
            return
        # The symbols end the search; the timer ends a reception that a false preamble began.
        longest = airtime_us(sf, bandwidth, LONGEST) + symbols * symbol_us(sf, bandwidth)
        self._start(_SET_RX, min(0xFFFFFE, int(longest / _STEP_US)))

    def _set_symbols(self, symbols):
        """DS 13.4.9. Above 31 the number is a mantissa and an exponent, rounded up (Semtech's sx126x_driver)."""
        mantissa = (min(symbols, 248) + 1) >> 1
        exponent = 0
        while mantissa > 31:
            mantissa = (mantissa + 3) >> 2
            exponent += 1
        self._command(_SET_SYMBOLS, mantissa << 2 * exponent + 1)
        if symbols:
            self._write_register(_REG_SYNC_TIMEOUT, exponent + (mantissa << 3))

    def poll_receive(self):
        flags = self._irq()
        if not flags & (_IRQ_RX_DONE | _IRQ_TIMEOUT | _IRQ_HEADER_ERROR):
            return None
        self._command(_CLEAR_IRQ, 0xFF, 0xFF)
        # A header error leaves the receiver running.
        self.standby()
        # Errata 15.3: the timer of a receive window runs on in implicit header mode.
        self._write_register(_REG_RTC_CONTROL, 0)
        self._write_register(_REG_EVENT_MASK, self._read_register(_REG_EVENT_MASK) | 2)
        if flags & (_IRQ_CRC_ERROR | _IRQ_HEADER_ERROR) or not flags & _IRQ_RX_DONE:
            return False
        return self._packet()

    def _packet(self):
        length, start = self._read(_GET_RX_BUFFER, 2)
        length = self._implicit or length
        for place in range(3 + length):
            self._frame[place] = 0
        self._frame[0] = _READ_BUFFER
        self._frame[1] = start
        payload = bytes(self._send(3 + length)[3:])
        _, snr, signal = self._read(_GET_PACKET_STATUS, 3)
        # DS 13.5.3: the RSSI of the signal counts, for below the noise the packet's is that of the noise.
        return Packet(payload, -signal // 2, signed(snr) // 4)

    def noise(self):
        """Power in the channel in dBm, while receiving."""
        return -self._read(_GET_RSSI, 1)[0] // 2

    def start_cad(self):
        """Look for the preamble of a packet of the same settings (DS 13.4.7)."""
        sf = self._settings[0]
        # Semtech AN1200.48, table 1: 4 symbols, detection peak SF + 13 (SF12: 28 at most), minimum 10; then standby.
        self._command(_SET_CAD_PARAMS, 2, sf + 13, 10, 0, 0, 0, 0)
        self._command(_CLEAR_IRQ, 0xFF, 0xFF)
        self._command(_SET_CAD)

    def poll_cad(self):
        flags = self._irq()
        if not flags & _IRQ_CAD_DONE:
            return None
        self._command(_CLEAR_IRQ, 0xFF, 0xFF)
        return bool(flags & _IRQ_CAD_DETECTED)

    def standby(self):
        self._command(_SET_STANDBY, 1 if self._tcxo_mv else 0)

    def sleep(self):
        """Warm: the chip keeps its settings (DS 13.1.1)."""
        self._command(_SET_SLEEP, 4)
        self._asleep = True


def _image_band(frequency):
    # DS table 9-2, in MHz.
    megahertz = frequency // 1_000_000
    for band in ((430, 440), (470, 510), (779, 787), (863, 870), (902, 928)):
        if band[0] <= megahertz <= band[1]:
            return band
    return megahertz, megahertz + 1
