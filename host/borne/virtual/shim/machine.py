# mypy: ignore-errors
"""`machine`: pins, buses, clocks and sleep; each call goes to the supervisor, which drives the simulated chips."""

import struct
import time

import _link
import _ops
import esp32
import umachine

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
SLEEP = 2
DEEPSLEEP = 4
# esp_sleep_wakeup_cause_t
PIN_WAKE = 2
EXT0_WAKE = 2
EXT1_WAKE = 3
TIMER_WAKE = 4
TOUCHPAD_WAKE = 5
ULP_WAKE = 6

_EPOCH = 946684800
_ENODEV = 19
_hello = {"cause": 0, "wake": 0, "mac": b"", "freq": 160000000}

Signal = umachine.Signal
mem8 = umachine.mem8
mem16 = umachine.mem16
mem32 = umachine.mem32


def reset_cause():
    return _hello["cause"]


def wake_reason():
    return _hello["wake"]


def unique_id():
    return _hello["mac"]


def freq(hz=None):
    if hz is None:
        return _hello["freq"]
    if hz not in (20000000, 40000000, 80000000, 160000000, 240000000):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _hello["freq"] = hz


def reset():
    _link.call_forever(_ops.RESET)


def soft_reset():
    raise SystemExit


def deepsleep(ms=0):
    _link.deep_sleep(ms * 1000, *(esp32._wake["ext0"] + esp32._wake["ext1"]))


def lightsleep(ms=0):
    time.sleep_ms(ms)


def idle():
    _link.spend(10)


def disable_irq():
    _link.state.irq_off += 1
    return _link.state.irq_off - 1


def enable_irq(state):
    _link.state.irq_off = state


def time_pulse_us(pin, level, timeout_us=1000000):
    # In one call: polling would cross to the supervisor ten thousand times for an echo of 20 ms.
    answer = _link.ask(_ops.PULSE, "<BBI", pin._number, int(bool(level)), timeout_us)
    return struct.unpack("<i", answer)[0]


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    WAKE_LOW = 4
    WAKE_HIGH = 5
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3

    def __init__(self, number, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        self._number = number._number if isinstance(number, Pin) else number
        self._handler = None
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        level = -1 if value is None else int(bool(value))
        _link.ask(_ops.PIN_OPEN, "<Bbbb", self._number, mode, -1 if pull is None else pull, level)

    def value(self, level=None):
        if level is None:
            return _link.ask(_ops.PIN_GET, "<B", self._number)[0]
        _link.ask(_ops.PIN_SET, "<BB", self._number, int(bool(level)))

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=IRQ_FALLING | IRQ_RISING, *, wake=None, hard=False):
        if wake is not None:
            esp32.wake_on_ext0(self, trigger == Pin.WAKE_HIGH)
            return
        _link.on_pin(self._number, (lambda: handler(self)) if handler else None)
        _link.ask(_ops.PIN_IRQ, "<BB", self._number, trigger if handler else 0)

    def __repr__(self):
        return "Pin(%d)" % self._number


def _pin_number(pin):
    if pin is None:
        return -1
    return pin._number if isinstance(pin, Pin) else pin


class SoftI2C:
    _number = -1

    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        self._open(-1, scl, sda, freq)

    def _open(self, number, scl, sda, freq):
        self._bus = _link.ask(_ops.I2C_OPEN, "<bbbI", number, _pin_number(scl), _pin_number(sda), freq)[0]

    def scan(self):
        return list(_link.ask(_ops.I2C_SCAN, "<B", self._bus))

    def _transfer(self, address, out, n):
        return _link.send(_ops.I2C_TRANSFER, struct.pack("<BBHH", self._bus, address, len(out), n), out)

    def writeto(self, address, buf, stop=True):
        self._transfer(address, buf, 0)
        return len(buf)

    def writevto(self, address, vector, stop=True):
        return self.writeto(address, b"".join(bytes(part) for part in vector))

    def readfrom_into(self, address, buf, stop=True):
        _link.fill(memoryview(buf), self._transfer(address, b"", len(buf)))

    def readfrom(self, address, n, stop=True):
        buf = bytearray(n)
        self.readfrom_into(address, buf)
        return bytes(buf)

    def readfrom_mem_into(self, address, register, buf, *, addrsize=8):
        answer = self._transfer(address, register.to_bytes(addrsize // 8, "big"), len(buf))
        _link.fill(memoryview(buf), answer)

    def readfrom_mem(self, address, register, n, *, addrsize=8):
        buf = bytearray(n)
        self.readfrom_mem_into(address, register, buf, addrsize=addrsize)
        return bytes(buf)

    def writeto_mem(self, address, register, buf, *, addrsize=8):
        self._transfer(address, register.to_bytes(addrsize // 8, "big") + bytes(buf), 0)


class I2C(SoftI2C):
    def __init__(self, id=-1, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._open(id, scl, sda, freq)


class SoftSPI:
    MSB = 0
    LSB = 1
    CONTROLLER = 0

    def __init__(
        self,
        id=-1,
        baudrate=500000,
        *,
        polarity=0,
        phase=0,
        bits=8,
        firstbit=0,
        sck=None,
        mosi=None,
        miso=None,
    ):
        self._args = [id, baudrate, polarity, phase, sck, mosi, miso]
        self._open()

    def init(
        self,
        baudrate=None,
        *,
        polarity=None,
        phase=None,
        bits=None,
        firstbit=None,
        sck=None,
        mosi=None,
        miso=None,
    ):
        for index, value in enumerate((None, baudrate, polarity, phase, sck, mosi, miso)):
            if value is not None:
                self._args[index] = value
        self._open()

    def _open(self):
        id, baudrate, polarity, phase, sck, mosi, miso = self._args
        pins = (_pin_number(sck), _pin_number(mosi), _pin_number(miso))
        self._bus = _link.ask(_ops.SPI_OPEN, "<bIBBbbb", id, baudrate, polarity, phase, *pins)[0]

    def deinit(self):
        pass

    def write(self, buf):
        _link.send(_ops.SPI_TRANSFER, struct.pack("<B", self._bus), buf)

    def write_readinto(self, out, buf):
        if len(out) != len(buf):
            raise ValueError("buffers must be the same length")
        _link.fill(memoryview(buf), _link.send(_ops.SPI_TRANSFER, struct.pack("<B", self._bus), out))

    def readinto(self, buf, write=0):
        self.write_readinto(bytes((write,)) * len(buf), buf)

    def read(self, n, write=0):
        buf = bytearray(n)
        self.readinto(buf, write)
        return bytes(buf)


class SPI(SoftSPI):
    pass


class UART:
    INV_TX = 1
    INV_RX = 2

    def __init__(self, id, baudrate=115200, bits=8, parity=None, stop=1, **options):
        self._id = id
        self._timeout = 0
        self.init(baudrate, bits, parity, stop, **options)

    def init(
        self, baudrate=115200, bits=8, parity=None, stop=1, *, tx=None, rx=None, rts=None, cts=None,
        txbuf=256, rxbuf=256, timeout=0, timeout_char=0, invert=0, flow=0,
    ):  # fmt: skip
        self._timeout = timeout
        self._char_us = 10 * 1000000 // baudrate
        _link.ask(_ops.UART_OPEN, "<bIHbb", self._id, baudrate, rxbuf, _pin_number(tx), _pin_number(rx))

    def deinit(self):
        pass

    def any(self):
        return struct.unpack("<H", _link.ask(_ops.UART_ANY, "<b", self._id))[0]

    def _wait(self, n):
        end = _link.state.ticks_us + self._timeout * 1000
        while self.any() < n and _link.state.ticks_us < end:
            _link.wait(1000)

    def readinto(self, buf, n=None):
        view = memoryview(buf)
        wanted = len(view) if n is None else min(n, len(view))
        if self._timeout:
            self._wait(wanted)
        got = _link.fill(view[:wanted], _link.ask(_ops.UART_READ, "<bH", self._id, wanted))
        return got or None

    def read(self, n=None):
        if n is None:
            n = self.any() or 1
        buf = bytearray(n)
        got = self.readinto(buf)
        return None if got is None else bytes(memoryview(buf)[:got])

    def readline(self):
        out = b""
        while not out.endswith(b"\n"):
            piece = self.read(1)
            if piece is None:
                break
            out += piece
        return out or None

    def write(self, buf):
        _link.send(_ops.UART_WRITE, struct.pack("<b", self._id), buf)
        return len(buf)

    def flush(self):
        pass

    def txdone(self):
        return True


class PWM:
    """A duty of 0 to 65535; what is wired to the pin is told of each change."""

    def __init__(self, pin, *, freq=5000, duty_u16=32768):
        self._pin = _pin_number(pin)
        self._freq = freq
        self.duty_u16(duty_u16)

    def duty_u16(self, value=None):
        if value is None:
            return self._duty
        if not 0 <= value <= 65535:
            raise ValueError("duty_u16 must be from 0 to 65535")
        self._duty = value
        _link.ask(_ops.PWM_SET, "<BIH", self._pin, self._freq, value)

    def freq(self, value=None):
        if value is None:
            return self._freq
        self._freq = value
        self.duty_u16(self._duty)

    def deinit(self):
        self.duty_u16(0)


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    WIDTH_12BIT = 3
    # Full scale, microvolts (ESP32 datasheet 4.1.2).
    _FULL = (950000, 1250000, 1750000, 2450000)

    def __init__(self, pin, *, atten=ATTN_0DB):
        self._pin = _pin_number(pin)
        self._atten = atten

    def atten(self, atten):
        self._atten = atten

    def width(self, width):
        pass

    def init(self, *, atten=None):
        self._atten = self._atten if atten is None else atten

    def read_uv(self):
        uv = struct.unpack("<I", _link.ask(_ops.ADC_READ, "<B", self._pin))[0]
        return min(uv, self._FULL[self._atten])

    def read_u16(self):
        return self.read_uv() * 65535 // self._FULL[self._atten]

    def read(self):
        return self.read_u16() >> 4


class RTC:
    def __init__(self, id=0):
        pass

    def memory(self, data=None):
        if data is None:
            buf = bytearray(2048)
            n = _link.fill(memoryview(buf), _link.ask(_ops.RTC_READ))
            return bytes(memoryview(buf)[:n])
        if len(data) > 2048:
            raise ValueError("buffer too long")
        _link.send(_ops.RTC_WRITE, b"", data)

    def datetime(self, moment=None):
        if moment is None:
            t = time.gmtime()
            us = (time.rtc_base_us + _link.now_us()) % 1000000
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], us)
        year, month, day, _, hour, minute, second, us = moment
        wanted = time.mktime((year, month, day, hour, minute, second, 0, 0)) * 1000000 + us
        time._set_base(wanted - _link.now_us())
        _link.ask(_ops.RTC_SET, "<q", wanted)

    init = datetime


class WDT:
    def __init__(self, id=0, timeout=5000):
        _link.ask(_ops.WDT_FEED, "<I", timeout)

    def feed(self):
        _link.ask(_ops.WDT_FEED, "<I", 0)


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id, **options):
        self._due = 0
        if options:
            self.init(**options)

    def init(self, *, mode=PERIODIC, freq=-1, period=-1, callback=None, hard=False):
        self._period_us = int(1000000 / freq) if freq > 0 else period * 1000
        self._mode = mode
        self._callback = callback
        self._due = _link.now_us() + self._period_us
        if self not in _link._timers:
            _link._timers.append(self)
        self._tell()

    def deinit(self):
        if self in _link._timers:
            _link._timers.remove(self)
        self._tell()

    def value(self):
        return 0

    def _tell(self):
        _link.ask(_ops.TIMER_COUNT, "<B", len(_link._timers))

    def _run(self, now_us):
        if now_us < self._due:
            return
        if self._mode == Timer.ONE_SHOT:
            self.deinit()
        self._due += self._period_us
        if self._callback:
            self._callback(self)
