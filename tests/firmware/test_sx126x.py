import json
from binascii import hexlify

from clock import FakeClock
from radio_bus import RadioBus
from silicon import Misuse, lora_air, sx126x
from support import raises

from borne_node.chips.lora import RadioFault
from borne_node.chips.sx126x import SX126x

_FILE = __file__.replace("\\", "/").rsplit("/", 2)[0] + "/vectors/radio.json"
_HZ = 868_100_000


def vectors(*names):
    with open(_FILE) as file:
        every = json.load(file)
    if names == ("sx126x_misc",):
        return every["sx126x_misc"]
    return [row for name in names for row in every[name]]


class Bench:
    def __init__(self, kind="sx1262", tcxo_mv=None, **options):
        self.clock = FakeClock()
        low = "low" if kind == "sx1261" else "high"
        self.chip = sx126x.SX126x(amplifier=low, tcxo=tcxo_mv is not None)
        self.bus = RadioBus(self.chip, self.clock)
        bus = self.bus
        self.radio = SX126x(
            bus, bus.cs, bus.reset, bus.busy, self.clock, kind=kind, tcxo_mv=tcxo_mv, **options
        )

    def packet(self, payload=b"hello", after_ms=20, **settings):
        """Somebody sends."""
        now = self.bus.now_us() + 1000 * after_ms
        frequency = settings.pop("frequency", _HZ)
        sf, bandwidth = settings.pop("sf", 7), settings.pop("bandwidth", 125000)
        packet = lora_air.Transmission(payload, now, frequency, sf, bandwidth, **settings)
        self.chip.hear(packet)
        return packet

    def sent(self, opcode):
        """The last frame of a command, in hex."""
        return [hexlify(frame).decode() for frame, _ in self.bus.frames if frame[0] == opcode][-1]

    def wait(self, poll, limit_ms=20_000):
        for _ in range(limit_ms):
            got = poll()
            if got or (got is False and poll != self.radio.poll_send):
                return got
            self.clock.sleep_ms(1)
        return None


def test_identifies_the_chip():
    clock = FakeClock()
    chip = sx126x.SX126x()
    bus = RadioBus(chip, clock)
    for break_it in (
        lambda: setattr(bus, "cut", True),
        lambda: (setattr(bus, "cut", False), chip.fail("silent")),
    ):
        break_it()
        with raises(RadioFault):
            SX126x(bus, bus.cs, bus.reset, bus.busy, clock)


def test_a_chip_that_stays_busy_is_given_up_in_time():
    clock = FakeClock()
    chip = sx126x.SX126x()
    chip.fail("stuck")
    bus = RadioBus(chip, clock)
    with raises(RadioFault):
        SX126x(bus, bus.cs, bus.reset, bus.busy, clock)
    assert clock.slept_ms < 500


def test_options_are_refused_early():
    with raises(ValueError):
        Bench(kind="sx1280")
    with raises(ValueError):
        Bench(tcxo_mv=1750)


def test_frequency_words():
    bench = Bench()
    for row in vectors("sx126x_rf_frequency"):
        bench.radio.configure(row["hz"], 7, 125000)
        assert bench.sent(0x86) == row["cmd"], row


def test_modulation_and_packet_parameters():
    bench = Bench()
    for row in vectors("sx126x_lora"):
        for inverted, name in (
            (False, "set_packet_params_24B_std_iq"),
            (True, "set_packet_params_24B_inv_iq"),
        ):
            bench.radio.configure(
                _HZ, row["sf"], row["bw"], coding=row["cr"], crc=row["crc"], inverted=inverted, power=14
            )
            assert bench.sent(0x8B) == row["set_modulation_params"], row
            bench.radio.start_send(bytes(24))
            assert bench.sent(0x8C) == row[name], row
            assert bench.chip.sent[-1].inverted == inverted
            assert bench.chip.sent[-1].corrupt is None
            bench.clock.sleep_ms(3000)
            assert bench.radio.poll_send()


def test_output_power():
    for row in vectors("sx126x_tx_power"):
        bench = Bench(kind="sx1261" if row["amplifier"] == "LowPower" else "sx1262")
        bench.radio.configure(_HZ, 7, 125000, power=row["asked_dbm"])
        assert bench.sent(0x95) == row["set_pa_config"], row
        assert bench.sent(0x8E) == row["set_tx_params"], row


def test_fifteen_dbm_below_400_mhz():
    bench = Bench(kind="sx1261")
    bench.radio.configure(169_400_000, 7, 125000, power=15)
    assert bench.sent(0x95) == "9504000101"
    assert bench.sent(0x8E) == "8e0e02"


def test_other_commands():
    misc = vectors("sx126x_misc")
    bench = Bench()
    assert bench.sent(0x8A) == misc["set_packet_type_lora"]
    bench.radio.configure(_HZ, 7, 125000)
    assert bench.sent(0x80) == misc["standby"]
    assert bench.sent(0x98) == misc["calibrate_863_870"]
    registers = bench.chip.registers
    assert registers[0x0740] << 8 | registers[0x0741] == misc["sync_public"]
    bench.radio.configure(_HZ, 7, 125000, sync=0x12)
    assert registers[0x0740] << 8 | registers[0x0741] == misc["sync_private"]
    bench.radio.start_receive(0)
    assert bench.sent(0x82) == misc["set_rx_continuous"]
    bench.radio.standby()
    # Time-outs are in steps of 15.625 us: 64 of them are a millisecond.
    bench.radio._start(0x82, 100 * 64)
    assert bench.sent(0x82) == misc["set_rx_100ms"]
    bench.radio.configure(_HZ, 7, 125000, power=14)
    bench.radio._start(0x83, 3000 * 64)
    assert bench.sent(0x83) == misc["set_tx_3s"]
    bench.radio.standby()
    bench.radio.sleep()
    assert bench.sent(0x84) == misc["sleep_warm"]


def test_packet_status():
    for row in vectors("sx126x_packet_status"):
        bench = Bench()
        bench.radio.configure(_HZ, 7, 125000)
        bench.packet()
        bench.chip._x14 = lambda values, now_us, row=row: bytes.fromhex(row["answer"])
        bench.radio.start_receive(60)
        packet = bench.wait(bench.radio.poll_receive)
        assert packet.snr == row["status"]["snr_db"], row
        assert packet.rssi == row["status"]["signal_rssi_dbm"], row


def test_image_calibration_of_every_band():
    # DS table 9-2; the second limit is rounded to the next 4 MHz.
    for hz, words in (
        (433_175_000, "986b6e"),
        (490_000_000, "987580"),
        (780_000_000, "98c2c5"),
        (868_100_000, "98d7da"),
        (915_000_000, "98e1e8"),
    ):
        bench = Bench(kind="sx1268")
        bench.radio.configure(hz, 7, 125000)
        assert bench.sent(0x98) == words, hz
        count = len([1 for frame, _ in bench.bus.frames if frame[0] == 0x98])
        bench.radio.configure(hz + 200_000, 7, 125000)
        assert len([1 for frame, _ in bench.bus.frames if frame[0] == 0x98]) <= count


def test_errata():
    bench = Bench()
    assert bench.chip.registers[0x08D8] & 0x1E == 0x1E  # 15.2
    assert Bench(kind="sx1261").chip.registers[0x08D8] & 0x1E != 0x1E
    for bandwidth, bit in ((125000, 4), (500000, 0), (250000, 4)):  # 15.1
        bench.radio.configure(_HZ, 7, bandwidth, power=14)
        assert bench.chip.registers[0x0889] & 4 == bit
    for inverted, bit in ((True, 0), (False, 4)):  # 15.4
        bench.radio.configure(_HZ, 7, 125000, inverted=inverted)
        assert bench.chip.registers[0x0736] & 4 == bit
    # 15.3: the timer is stopped after a reception with implicit header.
    bench.radio.configure(_HZ, 7, 125000, implicit=5)
    bench.packet(header=False)
    bench.radio.start_receive(60)
    assert bench.wait(bench.radio.poll_receive).payload == b"hello"
    assert bench.chip._timer_us is None
    assert bench.chip.registers[0x0944] & 2


def test_tcxo():
    bench = Bench(tcxo_mv=1800)
    # 1.8 V, 5 ms in steps of 15.625 us.
    assert [f for f, _ in bench.bus.frames if f[0] == 0x97] == [b"\x97\x02\x00\x01\x40"]
    bench.radio.configure(_HZ, 7, 125000, power=14)
    bench.radio.start_send(b"x")
    assert bench.wait(bench.radio.poll_send)
    # A board with a TCXO that nobody switches on does not transmit.
    clock = FakeClock()
    chip = sx126x.SX126x(tcxo=True)
    bus = RadioBus(chip, clock)
    radio = SX126x(bus, bus.cs, bus.reset, bus.busy, clock)
    radio.configure(_HZ, 7, 125000, power=14)
    radio.start_send(b"x")
    assert chip.sent == []


def test_packets_go_out():
    bench = Bench()
    for sf in range(5, 13):
        for bandwidth in (125000, 250000, 500000):
            payload = bytes(range(sf * 3))
            bench.radio.configure(_HZ, sf, bandwidth, power=14, preamble=12 if sf < 7 else 8)
            bench.radio.start_send(payload)
            assert not bench.radio.poll_send()
            assert bench.wait(bench.radio.poll_send)
            sent = bench.chip.sent[-1]
            assert (sent.payload, sent.sf, sent.bandwidth, sent.coding) == (payload, sf, bandwidth, 5)
            assert (sent.crc, sent.header, sent.sync, sent.inverted, sent.power) == (
                True,
                True,
                0x34,
                False,
                14,
            )
            assert abs(sent.frequency - _HZ) < 2
            assert sent.corrupt is None
            assert sent.end_us <= bench.bus.now_us() <= sent.end_us + 2000


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
    for sf in range(5, 13):
        for length in (1, 33, 255):
            bench.radio.configure(_HZ, sf, 125000, inverted=True)
            sent = bench.packet(bytes(range(length)), sf=sf, inverted=True, crc=False)
            bench.clock.sleep_ms(19)
            bench.radio.start_receive(40 if sf < 7 else 12)
            packet = bench.wait(bench.radio.poll_receive)
            assert packet and packet.payload == bytes(range(length)), (sf, length)
            assert packet.snr == 8 and packet.rssi == -90
            assert bench.bus.now_us() - sent.end_us < 3000


def test_below_the_noise():
    bench = Bench()
    bench.radio.configure(_HZ, 10, 125000)
    packet = bench.packet(sf=10)
    packet.snr, packet.rssi = -12.0, -120
    bench.radio.start_receive(30)
    got = bench.wait(bench.radio.poll_receive)
    assert got.snr == -12 and got.rssi == -120


def test_an_empty_window_ends_in_time():
    bench = Bench()
    for symbols in (6, 40, 100, 248):
        bench.radio.configure(_HZ, 9, 125000, inverted=True)
        start = bench.bus.now_us()
        bench.radio.start_receive(symbols)
        assert bench.wait(bench.radio.poll_receive) is False
        # Above 31 symbols the chip knows coarser steps only.
        assert -4096 < bench.bus.now_us() - start - symbols * 4096 < 4096 * 8 + 3000, symbols


def test_a_corrupt_packet_is_never_handed_up():
    for corrupt, crc in (("payload", True), ("header", True), ("header", False)):
        bench = Bench()
        bench.radio.configure(_HZ, 7, 125000)
        bench.packet(crc=crc).corrupt = corrupt
        bench.radio.start_receive(60)
        assert bench.wait(bench.radio.poll_receive) is False
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


def test_what_the_chip_cannot_do():
    bench = Bench()
    for sf, bandwidth, coding in (
        (4, 125000, 5),
        (13, 125000, 5),
        (7, 200000, 5),
        (7, 125000, 4),
        (7, 125000, 9),
    ):
        with raises(ValueError):
            bench.radio.configure(_HZ, sf, bandwidth, coding=coding)
    small = Bench(kind="llcc68")
    for sf, bandwidth in ((10, 125000), (11, 250000), (12, 500000), (7, 62500)):
        with raises(ValueError):
            small.radio.configure(_HZ, sf, bandwidth)
    for sf, bandwidth in ((9, 125000), (10, 250000), (11, 500000)):
        small.radio.configure(_HZ, sf, bandwidth)


def test_sleep_and_wake():
    bench = Bench()
    bench.radio.configure(_HZ, 7, 125000)
    bench.radio.sleep()
    assert bench.chip.level(bench.bus.now_us()) == 1
    bench.clock.sleep_ms(1000)
    bench.radio.configure(_HZ, 7, 125000)
    assert bench.chip.registers[0x08AC] == 0x96
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
            bench.clock.sleep_ms(4)
        bench.radio.start_cad()
        assert bench.radio.poll_cad() is None
        bench.clock.sleep_ms(20)
        assert bench.radio.poll_cad() is busy


def test_a_chip_that_stops_answering_is_reset_and_reported():
    bench = Bench()
    bench.chip.fail("stuck")
    with raises(RadioFault):
        bench.radio.configure(_HZ, 7, 125000)
    assert bench.radio.faults == 1
    bench.chip.fail(None)
    with raises(RadioFault):
        bench.radio.fail("no end of transmission")
    assert bench.radio.faults == 2
    bench.radio.configure(_HZ, 7, 125000, power=14)
    bench.radio.start_send(b"again")
    assert bench.wait(bench.radio.poll_send)


def test_a_transmission_that_does_not_end_is_ended_by_the_chip():
    bench = Bench()
    bench.radio.configure(_HZ, 7, 125000, power=14)
    bench.chip.fail("mute")
    bench.radio.start_send(b"x")
    bench.clock.sleep_ms(30)
    assert not bench.radio.poll_send()
    bench.clock.sleep_ms(100)
    with raises(RadioFault):
        bench.radio.poll_send()
    assert bench.radio.faults == 1


def test_a_dead_bus_is_noticed_when_the_radio_is_set_up():
    bench = Bench()
    bench.bus.cut = True
    with raises(RadioFault):
        bench.radio.configure(_HZ, 7, 125000)
    assert bench.radio.faults == 1


def test_the_simulated_chip_checks_its_caller():
    def send(bench, *values):
        bench.clock.sleep_ms(5)
        bench.chip.transfer(bytes(values), bench.bus.now_us())

    for prepare, frame in (
        ("sleep", (0x80, 0)),
        ("receive", (0x8B, 7, 4, 1, 0)),
        ("standby", (0x99, 0)),
        ("standby", (0x86, 1)),
        ("standby", (0x0D, 0x12, 0x34, 0)),
        ("standby", (0x15, 0, 0)),
        ("standby", (0x98, 0xDA, 0xD7)),
        ("standby", (0x95, 4, 0, 1, 1)),
    ):
        bench = Bench()
        bench.radio.configure(_HZ, 7, 125000)
        if prepare == "sleep":
            bench.radio.sleep()
        elif prepare == "receive":
            bench.radio.start_receive(200)
        with raises(Misuse):
            send(bench, *frame)
    # BUSY is not waited for.
    bench = Bench()
    bench.radio.configure(_HZ, 7, 125000)
    now = bench.bus.now_us() + 10_000
    bench.chip.transfer(b"\x80\0", now)
    with raises(Misuse):
        bench.chip.transfer(b"\x12\0\0\0", now + 10)
