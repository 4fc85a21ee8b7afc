from bus import FakeUart
from clock import FakeClock
from silicon import Misuse
from silicon.pzem004t import PZEM004T as Silicon
from support import raises

from borne_node.chips.pzem004t import PZEM004T, crc
from borne_node.errors import SensorFault


def meter(load, **uart):
    clock = FakeClock()
    silicon = Silicon(load if callable(load) else lambda t: load)
    return silicon, PZEM004T(FakeUart(silicon, clock, **uart), clock), clock


def fault_of(driver):
    with raises(SensorFault) as caught:
        driver.read()
    assert caught.value.name == "PZEM-004T"
    return caught.value.reason


def test_the_check_of_a_published_frame():
    # Modbus over Serial Line V1.02 gives the bytes 02 07 the CRC 41 12 (appendix B, "CRC generation").
    assert crc(b"\x02\x07") == 0x1241


def test_volts_amperes_and_watts():
    for load in ((230.4, 0.0, 0.0), (228.1, 0.652, 147.9), (231.0, 9.99, 2300.0)):
        _, driver, _ = meter(load)
        millivolts, milliamperes, milliwatts = driver.read()
        assert abs(millivolts - 1000 * load[0]) <= 100
        assert abs(milliamperes - 1000 * load[1]) <= 1 + 5 * load[1]
        assert abs(milliwatts - 1000 * load[2]) <= 100 + 5 * load[2]


def test_the_meter_counts_energy_by_itself():
    _, driver, clock = meter((230.0, 0.5, 100.0))
    driver.read()
    before = driver.energy_wh
    clock.sleep_ms(5 * 3600 * 1000)
    driver.read()
    assert abs(driver.energy_wh - before - 500) <= 1


def test_more_than_sixteen_bits_of_energy():
    silicon, driver, _ = meter((230.0, 0.5, 100.0))
    silicon.energy_wh = 70_000.0
    driver.read()
    assert driver.energy_wh == 70_000


def test_failures_are_named_within_the_limit():
    silicon, driver, clock = meter((230.0, 0.5, 100.0))
    for mode, reason in (("silent", "no answer"), ("checksum", "bad checksum")):
        silicon.fail(mode)
        before = clock.slept_ms
        assert fault_of(driver) == reason
        assert clock.slept_ms - before < 700
    silicon.fail(None)
    clock.sleep_ms(1000)
    assert driver.read()[0] == 230_000


def test_one_damaged_frame_is_asked_for_again():
    silicon, driver, clock = meter((230.0, 0.5, 100.0))
    silicon.fail("checksum")
    exchange = driver._exchange

    def heal():
        reason = exchange()
        silicon.fail(None)
        return reason

    driver._exchange = heal
    assert driver.read()[0] == 230_000


def test_the_wrong_speed_is_no_reading():
    _, driver, _ = meter((230.0, 0.5, 100.0), baudrate=115200)
    assert fault_of(driver) == "bad checksum"


def test_the_simulated_meter_refuses_a_wrong_request():
    silicon = Silicon(lambda t: (230.0, 0.0, 0.0))
    with raises(Misuse):
        silicon.feed(b"\xf8\x04\x00\x00\x00\x0a\x00\x00", 0)
    request = b"\xf8\x04\x00\x00\x00\x0a"
    request += bytes([crc(request) & 0xFF, crc(request) >> 8])
    silicon.feed(request, 1_000_000)
    with raises(Misuse):
        silicon.feed(request, 1_020_000)
