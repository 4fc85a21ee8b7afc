"""machine.I2C, machine.UART and machine.Pin over simulated chips and one clock."""

from silicon import Bus, Nack
from store import FakeStore

_ENODEV = 19  # what machine.I2C raises on the ESP32 when nobody acknowledges


class FakeI2C:
    """`chips` on one bus; counts transfers, so that a test can bound the traffic."""

    def __init__(self, chips, clock):
        self.bus = Bus(chips)
        self.transfers = 0
        self._physics_us = clock.physics_us

    def readfrom_mem_into(self, address, register, buf):
        self._transfer(self.bus.write, address, bytes([register]))
        buf[:] = self._transfer(self.bus.read, address, len(buf))

    def writeto_mem(self, address, register, buf):
        self._transfer(self.bus.write, address, bytes([register]) + bytes(buf))

    def readfrom_into(self, address, buf):
        buf[:] = self._transfer(self.bus.read, address, len(buf))

    def writeto(self, address, buf):
        self._transfer(self.bus.write, address, bytes(buf))
        return len(buf)

    def scan(self):
        return self.bus.scan(self._physics_us())

    def _transfer(self, operation, address, argument):
        if not 0x08 <= address <= 0x77:
            raise ValueError(f"no 7-bit address: {address}")
        self.transfers += 1
        try:
            return operation(address, argument, self._physics_us())
        except Nack:
            raise OSError(_ENODEV) from None


class FakeUart:
    """machine.UART with its receive buffer: 256 bytes, and the newest is lost when it is full."""

    def __init__(self, device, clock, baudrate=9600, rxbuf=256):
        self._device = device
        self._baudrate = baudrate
        self._rxbuf = rxbuf
        self._received = bytearray()
        self._physics_us = clock.physics_us

    def any(self):
        heard = self._device.output(self._physics_us())
        if self._baudrate != self._device.baudrate:
            heard = bytes([(byte * 7 + 13) & 0x7F for byte in heard])  # framing garbage
        self._received += heard[: self._rxbuf - len(self._received)]
        return len(self._received)

    def readinto(self, buf):
        n = min(self.any(), len(buf))
        if not n:
            return None
        buf[:n] = self._received[:n]
        self._received = self._received[n:]
        return n

    def write(self, data):
        self._device.feed(bytes(data), self._physics_us())
        return len(data)


class FakeEcho:
    """What hardware.Board.pulse gives: trigger and echo pins of a ranger, and machine.time_pulse_us."""

    def __init__(self, device, clock):
        self._device = device
        self._clock = clock

    def __call__(self, trigger_us, limit_us):
        began_us = self._clock.physics_us()
        self._device.trigger(1, began_us)
        now_us = began_us + trigger_us
        self._device.trigger(0, now_us)
        rise_us = self._device.next_edge(now_us)
        if rise_us is None or rise_us > now_us + limit_us:
            return self._after(began_us, now_us + limit_us, -2)
        fall_us = self._device.next_edge(rise_us)
        if fall_us is None or fall_us > rise_us + limit_us:
            return self._after(began_us, rise_us + limit_us, -1)
        return self._after(began_us, fall_us, fall_us - rise_us)

    def _after(self, began_us, now_us, result):
        self._clock.sleep_ms((now_us - began_us + 999) // 1000)
        return result


class FakeBoard:
    """What `sense.build` takes of a board."""

    def __init__(self, clock, i2c=None, uart=None, pin=None, woken_by_pin=False, pulse=None, nvs=None):
        self.clock = clock
        self.i2c = lambda: i2c
        self.uart = lambda baudrate: FakeUart(uart, clock, baudrate)
        self.pulse = lambda: FakeEcho(pulse, clock)
        self.nvs = nvs or FakeStore()
        self.names = {} if pin is None else {"pir": 0}
        self.presence_pin = lambda: pin
        self.temperature = lambda: 17
        self.woken_by_pin = woken_by_pin
        self.follow = None


class FakePin:
    """An input pin; while the clock runs, the handler is called at rising edges."""

    IRQ_RISING = 1

    def __init__(self, source, clock):
        self._source = source
        self._clock = clock
        self._physics_us = clock.physics_us
        self._handler = None
        self._before = 0

    def value(self):
        return self._source.level(self._physics_us())

    def irq(self, handler, trigger):
        if trigger != self.IRQ_RISING:
            raise ValueError("the fake knows rising edges only")
        self._handler = handler
        self._before = self.value()
        if self not in self._clock.pins:
            self._clock.pins.append(self)

    def sleep(self, ms):
        self._clock.sleep_ms(ms)

    def next_edge(self):
        return self._source.next_edge(self._physics_us())

    def look(self):
        """Call the handler if the level has risen since the last look."""
        level = self.value()
        if level and not self._before and self._handler:
            self._handler(self)
        self._before = level
