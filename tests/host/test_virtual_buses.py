"""What is wired to a virtual board is reached through `machine`, at the times of the real buses."""

from __future__ import annotations

from pathlib import Path

from virtual_kit import Bench

from borne.virtual import Wiring
from borne.virtual.silicon import I2cChip, Misuse


class Registers(I2cChip):
    """256 registers; checks that a register is chosen before it is read; notes when it was spoken to."""

    def __init__(self, address: int = 0x20) -> None:
        self.address = address
        self.memory = bytearray(range(256))
        self.chosen: int | None = None
        self.times: list[int] = []

    def written(self, data: bytes, now_us: int) -> None:
        self.chosen = data[0]
        self.memory[data[0] : data[0] + len(data) - 1] = data[1:]

    def answer(self, n: int, now_us: int) -> bytes:
        self.times.append(now_us)
        if self.chosen is None:
            raise Misuse("read before a register was chosen")
        return bytes(self.memory[self.chosen : self.chosen + n])


class Echo:
    """Sends back what it is sent, 10 bits a byte later; and a greeting that starts at 2 s after the first call."""

    baudrate = 9600

    def __init__(self) -> None:
        self._pending: list[tuple[int, int]] = []

    def feed(self, data: bytes, now_us: int) -> None:
        self._pending += [(now_us + n * 1042, byte) for n, byte in enumerate(data, 1)]

    def output(self, now_us: int) -> bytes:
        out = bytes(byte for at, byte in self._pending if at <= now_us)
        self._pending = [(at, byte) for at, byte in self._pending if at > now_us]
        return out


class Square:
    """A pin that is high for the last second of every minute of simulated time, and checks that time runs forward."""

    def __init__(self) -> None:
        self.last_us = 0

    def level(self, now_us: int) -> int:
        assert now_us >= self.last_us
        self.last_us = now_us
        return int(now_us // 1_000_000 % 60 == 59)

    def next_edge(self, now_us: int) -> int:
        second = now_us // 1_000_000
        minute = second // 60 * 60
        return next(edge for edge in (minute + 59, minute + 60, minute + 119) if edge > second) * 1_000_000


class Reverser:
    def transfer(self, data: bytes, now_us: int) -> bytes:
        return bytes(byte ^ 0xFF for byte in data)


def test_i2c_registers(tmp_path: Path) -> None:
    main = """
from machine import I2C, Pin
i2c = I2C(0, scl=Pin(22), sda=Pin(21), freq=400_000)
print("*", i2c.scan())
i2c.writeto_mem(0x20, 0x10, b"\\xaa\\xbb")
buffer = bytearray(4)
i2c.readfrom_mem_into(0x20, 0x0f, buffer)
print("*", buffer)
i2c.writeto(0x20, b"\\x01")
print("*", i2c.readfrom(0x20, 2), i2c.readfrom_mem(0x20, 0, 3))
try:
    i2c.writeto(0x21, b"\\x00")
except OSError as error:
    print("*", error.errno)
"""
    with Bench(tmp_path, main, wiring=Wiring(i2c={0: [Registers()]})) as bench:
        assert bench.run(5) == [
            "[32]",
            r"bytearray(b'\x0f\xaa\xbb\x12')",
            r"b'\x01\x02' b'\x00\x01\x02'",
            "19",
        ]


def test_i2c_takes_the_time_of_its_bits(tmp_path: Path) -> None:
    main = """
from machine import SoftI2C, Pin
i2c = SoftI2C(scl=Pin(22), sda=Pin(21), freq=100_000)
for _ in range(11):
    i2c.readfrom_mem(0x20, 0, 6)
"""
    chip = Registers()
    with Bench(tmp_path, main, wiring=Wiring(i2c={(22, 21): [chip]})) as bench:
        bench.run(5)
        # 2 + 9 * 2 bits for the register, 2 + 9 * 7 for the bytes: 85 bits of 10 us.
        assert {b - a for a, b in zip(chip.times, chip.times[1:], strict=False)} == {850}


def test_wiring_by_pins_is_not_found_at_other_pins(tmp_path: Path) -> None:
    main = "from machine import SoftI2C, Pin\nprint('*', SoftI2C(scl=Pin(5), sda=Pin(4)).scan())\n"
    with Bench(tmp_path, main, wiring=Wiring(i2c={(22, 21): [Registers()]})) as bench:
        assert bench.run(5) == ["[]"]


def test_misuse_is_an_error_of_the_driver_and_is_kept(tmp_path: Path) -> None:
    main = """
from machine import I2C
try:
    I2C(0).readfrom(0x20, 2)
except RuntimeError as error:
    print("*", error)
"""
    with Bench(tmp_path, main, wiring=Wiring(i2c={0: [Registers()]})) as bench:
        assert bench.run(5) == ["simulated chip: read before a register was chosen"]
        assert bench.board.misuses == ["read before a register was chosen"]


def test_large_transfers_travel_in_pieces(tmp_path: Path) -> None:
    main = """
from machine import SPI, Pin, UART
select = Pin(5, Pin.OUT, value=1)
spi = SPI(1, baudrate=10_000_000)
sent = bytes(range(256)) * 20
got = bytearray(len(sent))
spi.write_readinto(sent, got)
print("*", got == b"\\xff" * len(sent))
select(0)
spi.write_readinto(sent, got)
print("*", all(a ^ 0xff == b for a, b in zip(sent, got)))
spi.write(b"x")
spi.readinto(got, 0x0f)
print("*", got[0], got[-1])
"""
    with Bench(tmp_path, main, wiring=Wiring(spi={1: {5: Reverser()}})) as bench:
        assert bench.run(5) == ["True", "True", "240 240"]


def test_uart_bytes_arrive_when_the_line_brings_them(tmp_path: Path) -> None:
    main = """
import time
from machine import UART
uart = UART(1, baudrate=9600, tx=17, rx=16, timeout=0)
uart.write(b"0123456789")
print("*", uart.any(), uart.read())
time.sleep_ms(5)
print("*", uart.any())
time.sleep_ms(10)
print("*", uart.read(4), uart.any(), uart.readinto(bytearray(20)), uart.any())
blocking = UART(1, baudrate=9600, timeout=50)
blocking.write(b"late")
start = time.ticks_ms()
print("*", blocking.read(4), time.ticks_diff(time.ticks_ms(), start) < 10)
print("*", blocking.read(1), time.ticks_diff(time.ticks_ms(), start) >= 50)
"""
    with Bench(tmp_path, main, wiring=Wiring(uart={1: Echo()})) as bench:
        assert bench.run(5) == ["0 None", "4", "b'0123' 6 6 0", "b'late' True", "None True"]


def test_uart_at_the_wrong_baud_rate_gives_garbage_and_a_full_buffer_loses(tmp_path: Path) -> None:
    main = """
import time
from machine import UART
uart = UART(1, baudrate=115200)
uart.write(b"text")
time.sleep_ms(50)
print("*", uart.read() == b"text")
uart = UART(1, baudrate=9600, rxbuf=256)
uart.write(bytes(500))
time.sleep_ms(1000)
print("*", uart.any())
"""
    with Bench(tmp_path, main, wiring=Wiring(uart={1: Echo()})) as bench:
        assert bench.run(5) == ["False", "384"]


def test_adc_reads_volts_as_a_function_of_time(tmp_path: Path) -> None:
    main = """
import time
from machine import ADC, Pin
adc = ADC(Pin(35), atten=ADC.ATTN_11DB)
print("*", adc.read_uv(), adc.read_u16())
time.sleep(3600)
print("*", adc.read_uv(), ADC(34).read_uv())
"""
    start = 1_790_000_000
    volts = {35: lambda t: 2.0 if t < start + 1800 else 1.9}
    with Bench(tmp_path, main, wiring=Wiring(adc=volts)) as bench:
        assert bench.run(4000) == ["2000000 53497", "1900000 0"]


def test_pins_levels_and_interrupts(tmp_path: Path) -> None:
    main = """
import time
from machine import Pin
edges = []
pin = Pin(27, Pin.IN, Pin.PULL_DOWN)
pin.irq(lambda p: edges.append((time.time() % 60, p.value())), Pin.IRQ_RISING)
print("*", pin.value(), Pin(4, Pin.IN, Pin.PULL_UP).value(), Pin(2, Pin.OUT, value=1)())
time.sleep(180)
print("*", len(edges), edges[0][1], edges[1][0] - edges[0][0])
"""
    with Bench(tmp_path, main, wiring=Wiring(pins={27: Square()})) as bench:
        assert bench.run(200) == ["0 1 1", "3 1 0"]


def test_deep_sleep_wakes_by_pin_or_by_time(tmp_path: Path) -> None:
    main = """
import esp32, machine, time
print("*", machine.reset_cause(), machine.wake_reason(), time.time())
pin = machine.Pin(27, machine.Pin.IN)
esp32.wake_on_ext0(pin, esp32.WAKEUP_ANY_HIGH)
if pin.value():
    time.sleep(2)
machine.deepsleep(50_000)
"""
    with Bench(tmp_path, main, wiring=Wiring(pins={27: Square()})) as bench:
        # The clock starts at :20 of a minute, so the pin rises 39 s later; 2 s awake; then 50 s by time; ...
        lines = bench.run(130)
        assert [line.split()[:2] for line in lines] == [["1", "0"], ["4", "2"], ["4", "4"], ["4", "2"]]
        assert [int(line.split()[2]) for line in lines] == [1, 39, 91, 99]


def test_ext1_wakes_by_any_of_its_pins(tmp_path: Path) -> None:
    main = """
import esp32, machine
print("*", machine.wake_reason())
esp32.wake_on_ext1((machine.Pin(26), machine.Pin(27)), esp32.WAKEUP_ANY_HIGH)
if machine.reset_cause() == 1:
    machine.deepsleep()
"""
    with Bench(tmp_path, main, wiring=Wiring(pins={27: Square()})) as bench:
        assert bench.run(100) == ["0", "3"]


def test_timers_run_while_the_program_waits(tmp_path: Path) -> None:
    main = """
import machine, time
count = []
timer = machine.Timer(0)
timer.init(period=1000, callback=lambda t: count.append(time.time()))
once = machine.Timer(1, mode=machine.Timer.ONE_SHOT, period=500, callback=lambda t: count.append("once"))
time.sleep(3.2)
timer.deinit()
time.sleep(3)
print("*", count)
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(10) == ["['once', 2, 3, 4]"]


def test_entropy_is_repeatable_with_a_seed_and_runs_on_over_resets(tmp_path: Path) -> None:
    main = "import os, machine\nprint('*', os.urandom(8).hex())\nmachine.deepsleep(1000)\n"

    def draw(folder: str, seed: int | None) -> list[str]:
        with Bench(tmp_path / folder, main, entropy_seed=seed) as bench:
            return bench.run(3)

    first, second, third = draw("a", 7), draw("b", 7), draw("c", 8)
    assert first == second != third
    assert len(set(first)) == len(first)
    assert draw("d", None) != draw("e", None)


def test_pwm_tells_its_frequency_and_duty(tmp_path: Path) -> None:
    main = """
import time
from machine import PWM, Pin
pwm = PWM(Pin(25), freq=1000, duty_u16=0)
time.sleep(10)
pwm.duty_u16(65535)
try:
    pwm.duty_u16(65536)
except ValueError as error:
    print("*", pwm.duty_u16(), error)
"""
    seen: list[tuple[int, float]] = []
    follow = {25: lambda hz, duty, us: seen.append((hz, duty))}
    with Bench(tmp_path, main, wiring=Wiring(pwm=follow)) as bench:
        assert bench.run(20) == ["65535 duty_u16 must be from 0 to 65535"]
    assert seen == [(1000, 0.0), (1000, 1.0)]


class Once:
    """A pin that is high once, from 30 to 42 ms after it is first asked for."""

    def __init__(self) -> None:
        self.first_us = -1

    def level(self, now_us: int) -> int:
        self.first_us = now_us if self.first_us < 0 else self.first_us
        return int(30_000 <= now_us - self.first_us < 42_000)

    def next_edge(self, now_us: int) -> int | None:
        edges = (self.first_us + 30_000, self.first_us + 42_000)
        return next((edge for edge in edges if edge > now_us), None)


def test_the_length_of_a_pulse(tmp_path: Path) -> None:
    program = """
import machine, time
for pin, limit in ((4, 100000), (4, 100000), (5, 20000), (6, 35000), (7, 9000), (8, 500)):
    started = time.ticks_us()
    found = machine.time_pulse_us(machine.Pin(pin), 1, limit)
    print('*', found, time.ticks_diff(time.ticks_us(), started) // 1000)
"""
    pins = {4: Once(), 5: Once(), 6: Once(), 7: Once()}
    with Bench(tmp_path, program, wiring=Wiring(pins=pins)) as bench:
        # The whole pulse; no second one; its beginning comes too late; in time; too late; nothing is wired there.
        assert bench.run(2) == ["12000 42", "-2 100", "-2 20", "12000 42", "-2 9", "-2 0"]


class High:
    def level(self, now_us: int) -> int:
        return 1

    def next_edge(self, now_us: int) -> int | None:
        return None


def test_a_pulse_that_does_not_end(tmp_path: Path) -> None:
    program = "import machine\nprint('*', machine.time_pulse_us(machine.Pin(4), 1, 8000))"
    with Bench(tmp_path, program, wiring=Wiring(pins={4: High()})) as bench:
        assert bench.run(2) == ["-1"]
