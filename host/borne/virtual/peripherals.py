"""The hardware side of the calls in shim/_ops.py: buses, pins, converters, stores, radio.

Every call gives its answer and the microseconds that it takes on the real part.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from borne.virtual import nvs
from borne.virtual.shim import _ops as ops
from borne.virtual.silicon import Bus, Misuse, Nack
from borne.virtual.station import Station
from borne.virtual.wiring import Wiring

RTC_MEMORY = 2048  # ports/esp32/machine_rtc.c: MICROPY_HW_RTC_USER_MEM_MAX
_ENODEV, _EINVAL = 19, 22
_PIN_US = 2
_ADC_US = 60
# nvs_commit() of a few entries: a page program each (W25Q32 datasheet: 0.7 ms).
_NVS_US = 2000
_NTP_US = 40_000
_FIFO = 128  # the UART's hardware FIFO, behind the driver's buffer
_PULL_UP = 2
_MODE_IN = 1
_RISING, _FALLING = 1, 2


class Refused(Exception):
    """The call fails: `status` and `payload` as shim/_ops.py says."""

    def __init__(self, status: int, payload: bytes) -> None:
        super().__init__(status, payload)
        self.status = status
        self.payload = payload


def os_error(number: int) -> Refused:
    return Refused(ops.OS_ERROR, struct.pack("<i", number))


class Entropy:
    """`os.urandom` of a board: a seeded stream (SHA-256 in counter mode) that runs on over resets, or the real one."""

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._count = 0
        self._rest = b""

    def read(self, n: int) -> bytes:
        if self._seed is None:
            return os.urandom(n)
        while len(self._rest) < n:
            self._rest += hashlib.sha256(b"borne %d %d" % (self._seed, self._count)).digest()
            self._count += 1
        out, self._rest = self._rest[:n], self._rest[n:]
        return out


@dataclass
class _Pin:
    mode: int = 0
    pull: int = -1
    driven: int | None = None
    trigger: int = 0


@dataclass
class _Uart:
    baudrate: int
    limit: int
    received: bytearray


class Peripherals:
    """Of one power-up; `reset` is what a chip reset leaves. RTC memory and entropy belong to the board."""

    def __init__(
        self, wiring: Wiring, entropy: Entropy, access_points: Mapping[str, str], number: int
    ) -> None:
        self._wiring = wiring
        self._entropy = entropy
        self.station = Station(access_points, number)
        self.rtc_memory = b""
        self.nvs: nvs.Partition | None = None
        self.ntp = True
        self.reset()

    def reset(self) -> None:
        self.pins: dict[int, _Pin] = {}
        self._buses: list[tuple[Bus, int]] = []
        self._spi: list[tuple[int, int]] = []
        self._uarts: dict[int, _Uart] = {}
        self._namespaces: list[str] = []
        self._staged: list[tuple[str, str, int | bytes | None]] = []
        self._stage = b""
        self._more = b""
        self.station.reset()

    def call(self, op: int, data: bytes, now_us: int) -> tuple[bytes, int]:
        """The answer's first piece and what the call costs in microseconds. Raises Refused, silicon.Misuse."""
        if op == ops.STAGE:
            self._stage += data
            return b"", 0
        if op == ops.MORE:
            return self._piece(), 0
        try:
            answer, cost = _CALLS[op](self, data, now_us)
        except nvs.NvsError as error:
            raise Refused(ops.IDF_ERROR, struct.pack("<i", error.code) + error.name.encode()) from None
        finally:
            self._stage = b""
        self._more = answer
        return self._piece(), cost

    def _piece(self) -> bytes:
        piece, self._more = self._more[: ops.PIECE], self._more[ops.PIECE :]
        return piece

    def _joined(self, head: int, data: bytes) -> tuple[bytes, bytes]:
        """Split a request into its head and a body whose first pieces may have been staged."""
        return data[:head], self._stage + data[head:]

    # -- pins -----------------------------------------------------------------------------------------------------

    def level(self, number: int, now_us: int) -> int:
        pin = self.pins.get(number)
        if pin is not None and pin.driven is not None and pin.mode != _MODE_IN:
            return pin.driven
        source = self._wiring.pins.get(number)
        if source is not None:
            return source.level(now_us)
        return int(pin is not None and pin.pull == _PULL_UP)

    def next_edge(self, now_us: int) -> tuple[int, bytes] | None:
        """(time, event) of the next edge on a pin with an interrupt; the event is empty if the edge is the other one.

        Only the next edge is asked for: a simulated source may not be asked about a time and then about one before.
        """
        best: tuple[int, bytes] | None = None
        for number, pin in self.pins.items():
            source = self._wiring.pins.get(number)
            at = source.next_edge(now_us) if source is not None and pin.trigger else None
            if source is None or at is None:
                continue
            edge = _FALLING if source.level(now_us) else _RISING
            found = (at, bytes((number,)) if pin.trigger & edge else b"")
            best = found if best is None else min(best, found)
        return best

    def level_reached(self, numbers: list[int], level: int, now_us: int) -> int | None:
        """When the first of these pins has that level: now, at its next edge, or never."""
        reached = []
        for number in numbers:
            if self.level(number, now_us) == level:
                return now_us
            source = self._wiring.pins.get(number)
            at = source.next_edge(now_us) if source is not None else None
            if at is not None:
                reached.append(at)
        return min(reached, default=None)

    def _pulse(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        """machine.time_pulse_us: how long the pin has the level; -2: it never takes it, -1: it keeps it."""
        number, level, limit_us = struct.unpack("<BBI", data)
        begins = self.level_reached([number], level, now_us)
        if begins is None or begins - now_us > limit_us:
            return struct.pack("<i", -2), limit_us
        source = self._wiring.pins.get(number)
        ends = source.next_edge(begins) if source is not None else None
        if ends is None or ends - begins > limit_us:
            return struct.pack("<i", -1), begins - now_us + limit_us
        return struct.pack("<i", ends - begins), ends - now_us

    def _pin_open(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        number, mode, pull, value = struct.unpack("<Bbbb", data)
        pin = self.pins.setdefault(number, _Pin())
        if mode >= 0:
            pin.mode = mode
        pin.pull = pull if pull >= 0 else pin.pull
        if value >= 0:
            self._drive(number, value, now_us)
        return b"", _PIN_US

    def _drive(self, number: int, level: int, now_us: int) -> None:
        pin = self.pins.setdefault(number, _Pin())
        changed, pin.driven = level != pin.driven, level
        follower = self._wiring.outputs.get(number)
        if changed and follower is not None:
            follower(level, now_us)

    def _pin_get(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        return bytes((self.level(data[0], now_us),)), _PIN_US

    def _pin_set(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        self._drive(data[0], data[1], now_us)
        return b"", _PIN_US

    def _pwm_set(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        number, frequency, duty = struct.unpack("<BIH", data)
        self.pins.setdefault(number, _Pin())
        follower = self._wiring.pwm.get(number)
        if follower is not None:
            follower(frequency, duty / 65535, now_us)
        return b"", _PIN_US

    def _pin_irq(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        self.pins.setdefault(data[0], _Pin()).trigger = data[1]
        return b"", _PIN_US

    # -- buses ----------------------------------------------------------------------------------------------------

    def _i2c_open(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        number, scl, sda, frequency = struct.unpack("<bbbI", data)
        chips = self._wiring.i2c.get((scl, sda))
        if chips is None:
            chips = self._wiring.i2c.get(number, ())
        self._buses.append((Bus(chips), frequency))
        return bytes((len(self._buses) - 1,)), _PIN_US

    def _i2c_transfer(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        head, out = self._joined(6, data)
        index, address, size, n = struct.unpack("<BBHH", head)
        bus, frequency = self._buses[index]
        # UM10204: start, address and each byte take 9 clocks; a repeated start begins anew.
        written_us = (2 + 9 * (1 + len(out))) * 1_000_000 // frequency
        read_us = (2 + 9 * (1 + n)) * 1_000_000 // frequency if n else 0
        answer = b""
        try:
            if size or not n:
                bus.write(address, out, now_us + written_us)
            if n:
                answer = bus.read(address, n, now_us + written_us + read_us)
        except Nack:
            raise os_error(_ENODEV) from None
        return answer, written_us + read_us

    def _i2c_scan(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        bus, frequency = self._buses[data[0]]
        return bytes(bus.scan(now_us)), 112 * 11 * 1_000_000 // frequency

    def _spi_open(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        number, baudrate, _polarity, _phase, _sck, _mosi, _miso = struct.unpack("<bIBBbbb", data)
        self._spi.append((number, baudrate))
        return bytes((len(self._spi) - 1,)), _PIN_US

    def _spi_transfer(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        head, out = self._joined(1, data)
        number, baudrate = self._spi[head[0]]
        takes = max(1, len(out) * 8 * 1_000_000 // baudrate)
        chosen = [
            chip
            for select, chip in self._wiring.spi.get(number, {}).items()
            if self.pins.get(select, _Pin()).driven == 0
        ]
        if len(chosen) > 1:
            raise Misuse(f"{len(chosen)} chips are selected on SPI {number}")
        if not chosen:
            return b"\xff" * len(out), takes
        return chosen[0].transfer(out, now_us + takes), takes

    def _uart_open(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        number, baudrate, limit, _tx, _rx = struct.unpack("<bIHbb", data)
        self._uarts[number] = _Uart(baudrate, limit + _FIFO, bytearray())
        chip = self._wiring.uart.get(number)
        if chip is not None:
            chip.output(now_us)  # what it sent before nobody received
        return b"", _PIN_US

    def _uart(self, number: int, now_us: int) -> _Uart:
        """The UART, with what has arrived by now in its buffer; what does not fit is lost."""
        uart = self._uarts[number]
        chip = self._wiring.uart.get(number)
        if chip is not None:
            arrived = chip.output(now_us)
            if uart.baudrate != chip.baudrate:
                arrived = bytes((byte * 7 + 3) & 0xFF for byte in arrived)
            uart.received += arrived[: uart.limit - len(uart.received)]
        return uart

    def _uart_any(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        return struct.pack("<H", len(self._uart(data[0], now_us).received)), _PIN_US

    def _uart_read(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        number, n = struct.unpack("<bH", data)
        received = self._uart(number, now_us).received
        out = bytes(received[:n])
        del received[:n]
        return out, _PIN_US

    def _uart_write(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        head, out = self._joined(1, data)
        uart = self._uarts[head[0]]
        takes = len(out) * 10 * 1_000_000 // uart.baudrate
        chip = self._wiring.uart.get(head[0])
        if chip is not None:
            chip.feed(out, now_us + takes)
        return b"", takes

    def _adc_read(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        volts = self._wiring.adc.get(data[0])
        uv = 0 if volts is None else int(volts(now_us / 1_000_000) * 1_000_000)
        return struct.pack("<I", max(0, uv)), _ADC_US

    def _celsius(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        return struct.pack("<h", round(self._wiring.celsius(now_us / 1_000_000))), _ADC_US

    # -- stores ---------------------------------------------------------------------------------------------------

    def _rtc_read(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        return self.rtc_memory, _PIN_US

    def _rtc_write(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        _, memory = self._joined(0, data)
        if len(memory) > RTC_MEMORY:
            raise os_error(_EINVAL)
        self.rtc_memory = memory
        return b"", _PIN_US

    def _store(self) -> nvs.Partition:
        if self.nvs is None:
            raise nvs.NvsError(nvs.ERR_NO_PARTITION)
        return self.nvs

    def _nvs_open(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        self._store()
        name = data.decode()
        if len(name) > 15:
            raise nvs.NvsError(nvs.ERR_KEY_TOO_LONG)
        self._namespaces.append(name)
        return bytes((len(self._namespaces) - 1,)), _PIN_US

    def _staged_value(self, namespace: str, key: str) -> tuple[bool, int | bytes | None]:
        for name, what, value in reversed(self._staged):
            if (name, what) == (namespace, key):
                return True, value
        return False, None

    def _nvs_get_i32(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        namespace, key = self._namespaces[data[0]], data[1:].decode()
        staged, value = self._staged_value(namespace, key)
        if not staged:
            value = self._store().get_i32(namespace, key)
        if not isinstance(value, int):
            raise nvs.NvsError(nvs.ERR_NOT_FOUND)
        return struct.pack("<i", value), _PIN_US

    def _nvs_set_i32(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        value, key = struct.unpack("<i", data[1:5])[0], data[5:].decode()
        if not 1 <= len(key) <= 15:
            raise nvs.NvsError(nvs.ERR_KEY_TOO_LONG)
        self._staged.append((self._namespaces[data[0]], key, value))
        return b"", _PIN_US

    def _nvs_get_blob(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        namespace, room, key = (
            self._namespaces[data[0]],
            int.from_bytes(data[1:5], "little"),
            data[5:].decode(),
        )
        staged, value = self._staged_value(namespace, key)
        if not staged:
            value = self._store().get_blob(namespace, key)
        if not isinstance(value, bytes):
            raise nvs.NvsError(nvs.ERR_NOT_FOUND)
        if len(value) > room:
            raise nvs.NvsError(nvs.ERR_LENGTH)
        return value, _PIN_US

    def _nvs_set_blob(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        # The head (handle, length of the key, key) comes with the last piece, behind what was staged.
        length = data[1]
        head, value = self._joined(2 + length, data)
        key = head[2:].decode()
        if not 1 <= length <= 15:
            raise nvs.NvsError(nvs.ERR_KEY_TOO_LONG)
        self._staged.append((self._namespaces[data[0]], key, value))
        return b"", _PIN_US

    def _nvs_erase(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        namespace, key = self._namespaces[data[0]], data[1:].decode()
        staged, value = self._staged_value(namespace, key)
        if (staged and value is None) or (not staged and (namespace, key) not in self._store().values()):
            raise nvs.NvsError(nvs.ERR_NOT_FOUND)
        self._staged.append((namespace, key, None))
        return b"", _PIN_US

    def _nvs_commit(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        """ESP-IDF promises nothing before nvs_commit(); here nothing is written before it, so a missing one shows."""
        store, staged = self._store(), self._staged
        self._staged = []
        for namespace, key, value in staged:
            if value is None:
                if (namespace, key) in store.values():
                    store.erase(namespace, key)
            elif isinstance(value, int):
                store.set_i32(namespace, key, value)
            else:
                store.set_blob(namespace, key, value)
        return b"", _NVS_US * max(1, len(staged))

    # -- radio and chance -----------------------------------------------------------------------------------------

    def _wlan_active(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        if data[0] in (0, 1):
            self.station.activate(bool(data[0]))
        return bytes((self.station.active,)), _PIN_US

    def _wlan_connect(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        if not self.station.active:
            raise Refused(ops.IDF_ERROR, struct.pack("<i", -0x3002) + b"Wifi Not Started")
        text = data[1:]
        self.station.connect(text[: data[0]].decode(), text[data[0] :].decode(), now_us)
        return b"", _PIN_US

    def _wlan_status(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        return struct.pack("<HhB", *self.station.status(now_us)), _PIN_US

    def _wlan_disconnect(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        self.station.disconnect()
        return b"", _PIN_US

    def _wlan_scan(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        out = b""
        for ssid, secured in self.station.scan():
            out += bytes((secured, len(ssid.encode()))) + ssid.encode()
        return out, 2_400_000

    def _wlan_reconnects(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        self.station.limit_reconnects(struct.unpack("<h", data)[0])
        return b"", _PIN_US

    def _random(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        return self._entropy.read(struct.unpack("<I", data)[0]), _PIN_US

    def _ntp(self, data: bytes, now_us: int) -> tuple[bytes, int]:
        if not self.ntp:
            raise os_error(110)
        return struct.pack("<Q", now_us), _NTP_US


_Call = Callable[[Peripherals, bytes, int], tuple[bytes, int]]
_CALLS: dict[int, _Call] = {
    ops.PIN_OPEN: Peripherals._pin_open,
    ops.PIN_GET: Peripherals._pin_get,
    ops.PIN_SET: Peripherals._pin_set,
    ops.PIN_IRQ: Peripherals._pin_irq,
    ops.PWM_SET: Peripherals._pwm_set,
    ops.PULSE: Peripherals._pulse,
    ops.I2C_OPEN: Peripherals._i2c_open,
    ops.I2C_TRANSFER: Peripherals._i2c_transfer,
    ops.I2C_SCAN: Peripherals._i2c_scan,
    ops.UART_OPEN: Peripherals._uart_open,
    ops.UART_ANY: Peripherals._uart_any,
    ops.UART_READ: Peripherals._uart_read,
    ops.UART_WRITE: Peripherals._uart_write,
    ops.SPI_OPEN: Peripherals._spi_open,
    ops.SPI_TRANSFER: Peripherals._spi_transfer,
    ops.ADC_READ: Peripherals._adc_read,
    ops.CELSIUS: Peripherals._celsius,
    ops.RTC_READ: Peripherals._rtc_read,
    ops.RTC_WRITE: Peripherals._rtc_write,
    ops.NVS_OPEN: Peripherals._nvs_open,
    ops.NVS_GET_I32: Peripherals._nvs_get_i32,
    ops.NVS_SET_I32: Peripherals._nvs_set_i32,
    ops.NVS_GET_BLOB: Peripherals._nvs_get_blob,
    ops.NVS_SET_BLOB: Peripherals._nvs_set_blob,
    ops.NVS_ERASE: Peripherals._nvs_erase,
    ops.NVS_COMMIT: Peripherals._nvs_commit,
    ops.WLAN_ACTIVE: Peripherals._wlan_active,
    ops.WLAN_CONNECT: Peripherals._wlan_connect,
    ops.WLAN_STATUS: Peripherals._wlan_status,
    ops.WLAN_DISCONNECT: Peripherals._wlan_disconnect,
    ops.WLAN_SCAN: Peripherals._wlan_scan,
    ops.WLAN_RECONNECTS: Peripherals._wlan_reconnects,
    ops.RANDOM: Peripherals._random,
    ops.NTP: Peripherals._ntp,
}
