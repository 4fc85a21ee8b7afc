import json

from clock import FakeClock
from radio_bus import RadioBus
from silicon import Misuse, lora_air, sx127x
from support import raises

from borne_node.chips.lora import RadioFault
from borne_node.chips.sx127x import SX127x

_FILE = __file__.replace("\\", "/").rsplit("/", 2)[0] + "/vectors/radio.json"
_HZ = 868_100_000


def vectors(*names):
    with open(_FILE) as file:
        every = json.load(file)
    return [row for name in names for row in every[name]]


class Bench:
    def __init__(self, boost=True, **options):
        self.clock = FakeClock()
        self.chip = sx127x.SX127x(boost=boost)
        self.bus = RadioBus(self.chip, self.clock)
        self.radio = SX127x(self.bus, self.bus.cs, self.bus.reset, self.clock, boost=boost, **options)

    def packet(self, payload=b"hello", after_ms=20, **settings):
        """Somebody sends."""
        now = self.bus.now_us() + 1000 * after_ms
        settings.setdefault("frequency", _HZ)
        packet = lora_air.Transmission(
            payload,
            now,
            settings.pop("frequency"),
            settings.pop("sf", 7),
            settings.pop("bandwidth", 125000),
            **settings,
        )
        self.chip.hear(packet)
        return packet

    def wait(self, poll, limit_ms=20_000):
        for _ in range(limit_ms):
            got = poll()
            if got is not None and got is not False or got is False and poll == self.radio.poll_receive:
                return got
            self.clock.sleep_ms(1)
        return None


def test_identifies_the_chip():
    chip = sx127x.SX127x()
    chip.registers[0x42] = 0x22
    clock = FakeClock()
    bus = RadioBus(chip, clock)
    bus.cut = True
    with raises(RadioFault):
        SX127x(bus, bus.cs, bus.reset, clock)
    chip.fail("silent")
    bus.cut = False
    with raises(RadioFault):
        SX127x(bus, bus.cs, bus.reset, clock)


def test_frequency_words():
    bench = Bench()
    for row in vectors("sx127x_frf"):
        bench.radio.configure(row["hz"], 7, 125000)
        registers = bench.chip.registers
        assert registers[6] << 16 | registers[7] << 8 | registers[8] == row["word"], row


def test_modem_registers():
    for row in vectors("sx127x_modem"):
        bench = Bench()
        bench.radio.configure(
            _HZ, row["sf"], row["bw"], coding=row["cr"], crc=row["crc"], implicit=row["implicit"]
        )
        registers = bench.chip.registers
        assert registers[0x1D] == row["RegModemConfig1"], row
        assert registers[0x1E] == row["RegModemConfig2"], row
        assert registers[0x26] == row["RegModemConfig3"], row
        # The vector leaves out bit 7 (Errata 2.3) and the reserved ones.
        assert registers[0x31] & 7 == row["RegDetectOptimize"] & 7, row
        assert registers[0x37] == row["RegDetectionThreshold"], row


def test_output_power():
    for row in vectors("sx127x_tx_power"):
        bench = Bench(boost=row["output"] == "PaBoost")
        bench.radio.configure(_HZ, 7, 125000, power=row["asked_dbm"])
        registers = bench.chip.registers
        assert registers[0x09] == row["RegPaConfig"], row
        assert registers[0x4D] == row["RegPaDac"], row
        assert registers[0x0B] == row["RegOcp"], row
        bench.radio.start_send(b"x")
        assert bench.chip.sent[-1].power == row["output_dbm"], row


def test_twenty_dbm():
    bench = Bench()
    for asked, got in ((18, 18), (20, 20), (30, 20)):
        bench.radio.configure(_HZ, 7, 125000, power=asked)
        bench.radio.start_send(b"x")
        assert bench.chip.sent[-1].power == got
        assert bench.chip.registers[0x0B] == 0x31


def test_polarity():
    rows = vectors("sx127x_invert_iq")
    bench = Bench()
    for inverted in (False, True):
        bench.radio.configure(_HZ, 7, 125000, inverted=inverted)
        wanted = [row["RegInvertIQ"] for row in rows if row.get("rx") == inverted]
        assert bench.chip.registers[0x33] == wanted[0]
    wanted = [row["RegInvertIQ2"] for row in rows if row.get("inverted") is False]
    bench.radio.configure(_HZ, 7, 125000)
    assert bench.chip.registers[0x3B] == wanted[0]
    bench.radio.configure(_HZ, 7, 125000, inverted=True, power=14)
    bench.radio.start_send(b"x")
    assert bench.chip.sent[-1].inverted


def test_errata():
    for row in vectors("sx127x_errata"):
        bench = Bench()
        bench.radio.configure(_HZ, row["sf"], row["bw"])
        registers = bench.chip.registers
        assert registers[0x36] == row["high_bw"]["optimize_1"]
        if row["high_bw"]["optimize_2"] is not None:
            assert registers[0x3A] == row["high_bw"]["optimize_2"]
        assert bool(registers[0x31] & 0x80) == row["spurious"]["automatic_if"]
        if row["spurious"]["if_freq_2"] is not None:
            assert registers[0x2F] == row["spurious"]["if_freq_2"] and registers[0x30] == 0
    # Errata 2.1 in the low band, and 2.3 below 62.5 kHz: the receiver is tuned higher, the transmitter is not.
    bench = Bench()
    bench.radio.configure(433_175_000, 7, 500000)
    assert (bench.chip.registers[0x36], bench.chip.registers[0x3A]) == (0x02, 0x7F)
    bench.radio.configure(433_175_000, 7, 41670)
    assert abs(bench.chip.frequency() - 433_216_670) < 62
    bench.radio.configure(433_175_000, 7, 41670, power=10)
    assert abs(bench.chip.frequency() - 433_175_000) < 62


def test_packet_status():
    for row in vectors("sx127x_packet_status"):
        bench = Bench()
        bench.radio.configure(row["hz"], 7, 125000)
        bench.packet()
        bench.radio.start_receive(100)
        bench.clock.sleep_ms(200)
        # The chip is made to answer what the vector holds.
        bench.chip.transfer(b"\x12\0", bench.bus.now_us())
        bench.chip.registers[0x19] = int(row["answer"][:2], 16)
        bench.chip.registers[0x1A] = int(row["answer"][2:], 16)
        packet = bench.radio.poll_receive()
        assert packet.snr == row["snr"]["snr_db"] and packet.rssi == row["snr"]["rssi_dbm"], row


def test_packets_go_out():
    bench = Bench()
    for sf in range(7, 13):
        for bandwidth in (125000, 250000, 500000):
            payload = bytes(range(sf * 3))
            bench.radio.configure(_HZ, sf, bandwidth, power=14)
            start = bench.bus.now_us()
            bench.radio.start_send(payload)
            assert not bench.radio.poll_send()
            assert bench.wait(bench.radio.poll_send)
            sent = bench.chip.sent[-1]
            assert (sent.payload, sent.sf, sent.bandwidth, sent.coding) == (payload, sf, bandwidth, 5)
            assert (sent.crc, sent.header, sent.preamble, sent.sync, sent.inverted) == (
                True,
                True,
                8,
                0x34,
                False,
            )
            assert abs(sent.frequency - _HZ) < 62
            assert sent.end_us <= bench.bus.now_us() <= sent.end_us + 2000
            assert sent.start_us - start < 2000


def test_longest_and_shortest():
    bench = Bench()
    bench.radio.configure(_HZ, 7, 125000, power=14)
    for length in (1, 255):
        bench.radio.start_send(bytes(length))
        bench.wait(bench.radio.poll_send)
        assert len(bench.chip.sent[-1].payload) == length
    for length in (0, 256):
        with raises(ValueError):
            bench.radio.start_send(bytes(length))


def test_packets_come_in():
    bench = Bench()
    for sf in range(7, 13):
        for length in (1, 33, 255):
            bench.radio.configure(_HZ, sf, 125000, inverted=True)
            sent = bench.packet(bytes(range(length)), sf=sf, inverted=True, crc=False)
            bench.clock.sleep_ms(19)
            bench.radio.start_receive(10)
            packet = bench.wait(bench.radio.poll_receive)
            assert packet.payload == bytes(range(length)), (sf, length)
            assert packet.snr == 8 and packet.rssi == -90
            assert bench.bus.now_us() - sent.end_us < 3000


def test_below_the_noise():
    bench = Bench()
    bench.radio.configure(_HZ, 10, 125000)
    packet = bench.packet(sf=10)
    packet.snr, packet.rssi = -12.0, -128
    bench.radio.start_receive(30)
    got = bench.wait(bench.radio.poll_receive)
    assert got.snr == -12 and got.rssi == -128


def test_an_empty_window_ends_in_time():
    bench = Bench()
    for symbols in (6, 40, 300):
        bench.radio.configure(_HZ, 9, 125000, inverted=True)
        start = bench.bus.now_us()
        bench.radio.start_receive(symbols)
        assert bench.wait(bench.radio.poll_receive) is False
        assert 0 <= bench.bus.now_us() - start - symbols * 4096 < 3000


def test_a_corrupt_packet_is_never_handed_up():
    for corrupt, crc in (("payload", True), ("header", True), ("header", False)):
        bench = Bench()
        bench.radio.configure(_HZ, 7, 125000)
        bench.packet(crc=crc).corrupt = corrupt
        bench.radio.start_receive(60)
        assert bench.wait(bench.radio.poll_receive) is False
        # And the next good one is.
        bench.radio.configure(_HZ, 7, 125000)
        bench.packet(b"good")
        bench.radio.start_receive(60)
        assert bench.wait(bench.radio.poll_receive).payload == b"good"


def test_other_settings_are_not_heard():
    bench = Bench()
    for other in (
        {"sf": 8},
        {"bandwidth": 250000},
        {"frequency": _HZ + 200_000},
        {"inverted": True},
        {"sync": 0x12},
    ):
        bench.radio.configure(_HZ, 7, 125000)
        bench.packet(**other)
        bench.radio.start_receive(60)
        assert bench.wait(bench.radio.poll_receive) is False, other
        bench.clock.sleep_ms(100)


def test_implicit_header_and_sf6():
    bench = Bench()
    bench.radio.configure(_HZ, 6, 125000, implicit=12)
    bench.packet(b"twelve bytes", sf=6, header=False)
    bench.radio.start_receive(100)
    assert bench.wait(bench.radio.poll_receive).payload == b"twelve bytes"
    bench.radio.configure(_HZ, 6, 125000, implicit=12)
    bench.packet(b"twelve bytes", sf=6, header=False).corrupt = "payload"
    bench.radio.start_receive(100)
    assert bench.wait(bench.radio.poll_receive) is False
    with raises(ValueError):
        bench.radio.configure(_HZ, 6, 125000)


def test_what_the_chip_cannot_do():
    bench = Bench()
    for sf, bandwidth, coding in (
        (5, 125000, 5),
        (13, 125000, 5),
        (7, 200000, 5),
        (7, 125000, 4),
        (7, 125000, 9),
    ):
        with raises(ValueError):
            bench.radio.configure(_HZ, sf, bandwidth, coding=coding)


def test_sleep_and_wake():
    bench = Bench()
    bench.radio.sleep()
    assert bench.chip.registers[1] & 7 == 0
    bench.radio.configure(_HZ, 7, 125000, power=14)
    bench.radio.start_send(b"awake")
    assert bench.chip.sent[-1].payload == b"awake"


def test_noise_and_cad():
    bench = Bench()
    bench.chip.noise_dbm = -97
    bench.radio.configure(_HZ, 7, 125000)
    bench.radio.start_receive(0)
    assert bench.radio.noise() == -97
    for busy in (False, True):
        bench.radio.configure(_HZ, 9, 125000)
        if busy:
            bench.packet(sf=9, after_ms=1)
            bench.clock.sleep_ms(10)
        bench.radio.start_cad()
        assert bench.radio.poll_cad() is None
        bench.clock.sleep_ms(20)
        assert bench.radio.poll_cad() is busy


def test_both_bands_are_calibrated():
    bench = Bench()
    for hz, low in ((_HZ, 0), (433_175_000, 8), (_HZ, 0)):
        bench.radio.configure(hz, 7, 125000, power=10)
        assert bench.chip._calibrated_us > 0
        assert bench.chip.registers[1] & 8 == low
        bench.radio.start_send(b"x")
        bench.wait(bench.radio.poll_send)
        bench.chip._calibrated_us = 0


def test_a_chip_that_stops_answering_is_reset_and_reported():
    bench = Bench()
    bench.bus.cut = True
    with raises(RadioFault):
        bench.radio.configure(_HZ, 7, 125000)
    assert bench.radio.faults == 1
    bench.bus.cut = False
    with raises(RadioFault):
        bench.radio.fail("no end of transmission")
    assert bench.radio.faults == 2
    bench.radio.configure(_HZ, 7, 125000, power=14)
    bench.radio.start_send(b"again")
    assert bench.wait(bench.radio.poll_send)


def test_tcxo():
    assert Bench(tcxo=True).chip.registers[0x4B] & 0x10
    assert not Bench().chip.registers[0x4B] & 0x10


def test_the_simulated_chip_checks_its_caller():
    def write(bench, *values):
        bench.chip.transfer(bytes(values), bench.bus.now_us())

    for prepare, frame in (
        ("sleep", (0x80, 1)),  # FIFO in sleep
        ("standby", (0x81, 0x01)),  # LongRangeMode outside sleep
        ("receive", (0x9D, 0x72)),  # modem settings while receiving
        ("standby", (0x80,)),
    ):
        bench = Bench()
        bench.radio.configure(_HZ, 7, 125000)
        if prepare == "sleep":
            bench.radio.sleep()
        elif prepare == "receive":
            bench.radio.start_receive(50)
        with raises(Misuse):
            write(bench, *frame)
    bench = Bench()
    bench.radio.configure(_HZ, 12, 125000, power=14)
    write(bench, 0xA6, 0x04)  # LowDataRateOptimize off
    with raises(Misuse):
        bench.radio.start_send(b"x")
    clock = FakeClock()
    chip = sx127x.SX127x()
    with raises(Misuse):
        chip.transfer(b"\x42\0", 100)
    assert clock.slept_ms == 0
