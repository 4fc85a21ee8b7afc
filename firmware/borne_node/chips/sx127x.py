"""Semtech SX1276, SX1277, SX1278 and SX1279, LoRa mode.

DS: SX1276/77/78/79 datasheet Rev. 7. Errata: SX1276/77/78 Errata Note Rev. 1.1.
"""

from borne_node.chips.lora import LONGEST, LORAWAN, Packet, Radio, low_rate, signed
from borne_node.compat import const

_FIFO = const(0x00)
_OP_MODE = const(0x01)
_FRF = const(0x06)
_PA_CONFIG = const(0x09)
_OCP = const(0x0B)
_LNA = const(0x0C)
_FIFO_ADDRESS = const(0x0D)
_FIFO_TX_BASE = const(0x0E)
_FIFO_RX_CURRENT = const(0x10)
_IRQ_FLAGS = const(0x12)
_RX_BYTES = const(0x13)
_PACKET_SNR = const(0x19)
_RSSI = const(0x1B)
_HOP_CHANNEL = const(0x1C)
_MODEM_CONFIG_1 = const(0x1D)
_MODEM_CONFIG_2 = const(0x1E)
_PREAMBLE = const(0x20)
_PAYLOAD_LENGTH = const(0x22)
_MODEM_CONFIG_3 = const(0x26)
_IF_FREQUENCY_2 = const(0x2F)
_IF_FREQUENCY_1 = const(0x30)
_DETECT_OPTIMIZE = const(0x31)
_INVERT_IQ = const(0x33)
_HIGH_BANDWIDTH_1 = const(0x36)
_DETECTION_THRESHOLD = const(0x37)
_SYNC_WORD = const(0x39)
_HIGH_BANDWIDTH_2 = const(0x3A)
_INVERT_IQ_2 = const(0x3B)
_IMAGE_CAL = const(0x3B)  # the same address in FSK mode
_VERSION = const(0x42)
_TCXO = const(0x4B)
_PA_DAC = const(0x4D)

_LORA = const(0x80)
_LOW_FREQUENCY = const(0x08)
_SLEEP = const(0)
_STANDBY = const(1)
_TX = const(3)
_RX_CONTINUOUS = const(5)
_RX_SINGLE = const(6)
_CAD = const(7)

_RX_TIMEOUT = const(0x80)
_RX_DONE = const(0x40)
_CRC_ERROR = const(0x20)
_VALID_HEADER = const(0x10)
_TX_DONE = const(0x08)
_CAD_DONE = const(0x04)
_CAD_DETECTED = const(0x01)

_CHIP = const(0x12)  # DS 6.4: RegVersion
_WRITE = const(0x80)
_RESET_MS = const(5)  # DS 7.2.2: ready 5 ms after NRESET is released
_CALIBRATION_LIMIT_MS = const(20)  # DS 2.1.3.8 gives about 1 ms
_BORDER_HZ = const(
    700_000_000
)  # between the chip's low and high frequency ports (DS 1.3: up to 525, from 779 MHz)
_SYMBOLS_MAX = const(1023)  # DS 4.1.5: ten bits
_SYMBOLS_MIN = const(4)

# DS table 13 and Errata 2.3: Hz, code, RegIfFreq2, Hz that the receiver is set higher.
_BANDWIDTHS = (
    (7810, 0, 0x48, 7810),
    (10420, 1, 0x44, 10420),
    (15630, 2, 0x44, 15620),
    (20830, 3, 0x44, 20830),
    (31250, 4, 0x44, 31250),
    (41670, 5, 0x44, 41670),
    (62500, 6, 0x40, 0),
    (125000, 7, 0x40, 0),
    (250000, 8, 0x40, 0),
    (500000, 9, None, 0),
)


class SX127x(Radio):
    """`boost`: the antenna hangs on PA_BOOST (2 to 20 dBm) and not on RFO (-4 to 15 dBm). `tcxo`: it has a TCXO."""

    START_MS = (
        1  # DS table 10: TS_HOP and TS_RE of the receiver, some 100 us, and the SPI transfers before it
    )

    def __init__(self, spi, cs, reset, clock, boost=True, tcxo=False):
        super().__init__(spi, cs, reset, clock)
        self._boost = boost
        self._tcxo = tcxo
        self.restart()

    def restart(self):
        self._pull_reset()
        self._clock.sleep_ms(_RESET_MS)
        self._calibrated = None
        self._mode = _STANDBY
        self._low = False
        if self._read(_VERSION) != _CHIP:
            self.fail("no SX127x answers")
        # DS 4.1.6: LongRangeMode can be changed in sleep mode only.
        self._write(_OP_MODE, _SLEEP)
        if self._tcxo:
            self._write(_TCXO, 0x19)  # DS 6.1, RegTcxo: bit 4, the rest as after a reset
        self._write(_OP_MODE, _LORA | _SLEEP)
        self._write(_LNA, 0x23)  # DS 5.5.3: highest gain, 150 % LNA current at high frequencies

    # The bus

    def _read(self, register):
        self._frame[0] = register
        self._frame[1] = 0
        return self._exchange(2)[1]

    def _write(self, register, *values):
        self._frame[0] = register | _WRITE
        for place, value in enumerate(values):
            self._frame[1 + place] = value
        self._exchange(1 + len(values))

    def _set_mode(self, mode):
        self._mode = mode
        self._write(_OP_MODE, _LORA | (_LOW_FREQUENCY if self._low else 0) | mode)

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
        row = [one for one in _BANDWIDTHS if one[0] == bandwidth]
        if not row or not 6 <= sf <= 12 or not 5 <= coding <= 8 or (sf == 6 and not implicit):
            raise ValueError("SF%d, %d Hz, 4/%d: not with this chip" % (sf, bandwidth, coding))
        self._low = frequency < _BORDER_HZ
        self.standby()
        if self._read(_VERSION) != _CHIP:
            self.fail("the SX127x does not answer")
        self._calibrate(frequency)
        _, code, middle, offset = row[0]
        # Errata 2.3 moves the receiver by its intermediate frequency.
        self._tune(frequency + (offset if power is None else 0))
        self._write(
            _MODEM_CONFIG_1,
            code << 4 | (coding - 4) << 1 | bool(implicit),
            sf << 4 | bool(crc) << 2,
        )
        self._write(_MODEM_CONFIG_3, low_rate(sf, bandwidth) << 3 | 0x04)  # 0x04: AGC
        self._detector(sf, middle)
        self._wide(frequency, bandwidth)
        # DS 6.4 has the sense of bit 0 the wrong way round: 1 is the normal polarity of the transmitter, as in
        # Semtech's LoRaMac-node (sx1276.c, RFLR_INVERTIQ_TX_OFF).
        receiving = power is None
        self._write(_INVERT_IQ, 0x26 | (inverted and receiving) << 6 | (not inverted or receiving))
        self._write(_INVERT_IQ_2, 0x19 if inverted else 0x1D)
        self._write(_PREAMBLE, preamble >> 8, preamble & 0xFF)
        self._write(_SYNC_WORD, sync)
        self._write(_PAYLOAD_LENGTH, implicit or 1)
        self._sf_register = sf << 4 | bool(crc) << 2
        self._implicit = implicit
        if power is not None:
            self._amplifier(power)

    def _tune(self, frequency):
        # DS 4.1.4: steps of 32 MHz / 2^19; the reference rounds to the nearest.
        word = ((frequency << 11) + 62_500) // 125_000
        self._write(_FRF, word >> 16, word >> 8 & 0xFF, word & 0xFF)

    def _detector(self, sf, middle):
        # DS 4.1.1.2: SF6 has settings of its own. Errata 2.3: no automatic IF below 500 kHz.
        kept = self._read(_DETECT_OPTIMIZE) & 0x78
        self._write(_DETECT_OPTIMIZE, kept | (0x80 if middle is None else 0) | (5 if sf == 6 else 3))
        self._write(_DETECTION_THRESHOLD, 0x0C if sf == 6 else 0x0A)
        if middle is not None:
            self._write(_IF_FREQUENCY_2, middle, 0)

    def _wide(self, frequency, bandwidth):
        # Errata 2.1: sensitivity at 500 kHz; at all other bandwidths the second register sets itself.
        if bandwidth == 500_000 and not 525_000_000 < frequency < 862_000_000:
            self._write(_HIGH_BANDWIDTH_1, 0x02)
            self._write(_HIGH_BANDWIDTH_2, 0x7F if self._low else 0x64)
        else:
            self._write(_HIGH_BANDWIDTH_1, 0x03)

    def _amplifier(self, power):
        # DS 5.4.2 and 5.4.3. Over-current: 100 mA, and 140 mA where +20 dBm draws 120 mA (DS table 10, 5.4.4).
        dac, current = 0x84, 0x2B
        if not self._boost:
            power = max(-4, min(15, power))
            config = 0x70 | power if power > 0 else power + 4
        elif power > 17:
            config, dac, current = 0xF0 | min(power, 20) - 5, 0x87, 0x31
        else:
            config = 0xF0 | max(power, 2) - 2
        self._write(_PA_CONFIG, config)
        self._write(_PA_DAC, dac)
        self._write(_OCP, current)

    def _calibrate(self, frequency):
        """DS 2.1.3.8: the reset calibrates the image rejection at 434 MHz only; another band needs it anew."""
        if self._calibrated == self._low:
            return
        self._write(_OP_MODE, _LORA | _SLEEP)
        self._write(_OP_MODE, _SLEEP)
        self._write(_OP_MODE, (_LOW_FREQUENCY if self._low else 0) | _STANDBY)
        self._tune(frequency)
        self._write(_PA_CONFIG, 0)  # nothing may radiate meanwhile (LoRaMac-node, RxChainCalibration)
        self._write(_IMAGE_CAL, 0x40 | self._read(_IMAGE_CAL) & 0x9F)
        for _ in range(_CALIBRATION_LIMIT_MS):
            self._clock.sleep_ms(1)
            if not self._read(_IMAGE_CAL) & 0x20:
                break
        else:
            self.fail("no end of the image calibration")
        self._write(_OP_MODE, _SLEEP)
        self._write(_OP_MODE, _LORA | _SLEEP)
        self._calibrated = self._low
        self.standby()

    # Packets

    def start_send(self, frame):
        """`frame`: 1 to 255 bytes."""
        length = len(frame)
        if not 1 <= length <= LONGEST:
            raise ValueError("a packet of %d bytes" % length)
        self._write(_FIFO_TX_BASE, 0)
        self._write(_FIFO_ADDRESS, 0)
        self._write(_PAYLOAD_LENGTH, length)
        self._frame[0] = _FIFO | _WRITE
        self._frame[1 : 1 + length] = frame
        self._exchange(1 + length)
        self._write(_IRQ_FLAGS, 0xFF)
        self._set_mode(_TX)

    def poll_send(self):
        if not self._read(_IRQ_FLAGS) & _TX_DONE:
            return False
        self._write(_IRQ_FLAGS, 0xFF)
        self._mode = _STANDBY  # DS table 16: it goes there by itself
        return True

    def start_receive(self, symbols):
        """Listen until a preamble is found or `symbols` have passed; 0: until told otherwise."""
        self._write(_IRQ_FLAGS, 0xFF)
        self._write(_FIFO_TX_BASE, 0, 0)  # and RegFifoRxBaseAddr after it
        self._write(_FIFO_ADDRESS, 0)
        if symbols:
            symbols = max(_SYMBOLS_MIN, min(symbols, _SYMBOLS_MAX))
            self._write(_MODEM_CONFIG_2, self._sf_register | symbols >> 8, symbols & 0xFF)
        self._set_mode(_RX_SINGLE if symbols else _RX_CONTINUOUS)

    def poll_receive(self):
        flags = self._read(_IRQ_FLAGS)
        if not flags & (_RX_TIMEOUT | _RX_DONE):
            return None
        self._write(_IRQ_FLAGS, 0xFF)
        if self._mode == _RX_SINGLE:
            self._mode = _STANDBY
        good = flags & _RX_DONE and (flags & _VALID_HEADER or self._implicit)
        # DS 4.1.1.6: the error flag means nothing where the header says that there is no CRC.
        checked = self._read(_HOP_CHANNEL) & 0x40 or self._implicit
        if not good or (checked and flags & _CRC_ERROR):
            return False
        return self._packet()

    def _packet(self):
        length = self._implicit or self._read(_RX_BYTES)
        self._write(_FIFO_ADDRESS, self._read(_FIFO_RX_CURRENT))
        self._frame[0] = _FIFO
        payload = bytes(self._exchange(1 + length)[1:])
        snr = signed(self._read(_PACKET_SNR)) // 4
        rssi = self._floor() + self._read(_PACKET_SNR + 1)
        # DS 5.5.5: below the noise the RSSI alone is that of the noise.
        return Packet(payload, rssi + min(0, snr), snr)

    def _floor(self):
        return -164 if self._low else -157  # DS 5.5.5

    def noise(self):
        """Power in the channel in dBm, while receiving."""
        return self._floor() + self._read(_RSSI)

    def start_cad(self):
        """Look for the preamble of a packet of the same settings (DS 4.1.6.6)."""
        self._write(_IRQ_FLAGS, 0xFF)
        self._set_mode(_CAD)

    def poll_cad(self):
        flags = self._read(_IRQ_FLAGS)
        if not flags & _CAD_DONE:
            return None
        self._write(_IRQ_FLAGS, 0xFF)
        self._mode = _STANDBY
        return bool(flags & _CAD_DETECTED)

    def standby(self):
        self._set_mode(_STANDBY)

    def sleep(self):
        self._set_mode(_SLEEP)
