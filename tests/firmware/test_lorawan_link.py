"""The whole link over both radio drivers and simulated chips: what leaves the antenna reaches a network server."""

from aes import aes
from clock import FakeClock
from lorawan_network import Network
from lorawan_node import APP_KEY, DEV_EUI, JOIN_EUI, Entropy
from radio_bus import Antenna, RadioBus
from silicon import lora_air, sx126x, sx127x
from store import FakeStore
from support import raises

from borne_node.chips.lora import RadioFault
from borne_node.chips.sx126x import SX126x
from borne_node.chips.sx127x import SX127x
from borne_node.errors import LinkDown, LinkRefused, StorageError
from borne_node.link.lorawan import commands, frames, regions
from borne_node.link.lorawan.air import NotBefore
from borne_node.link.lorawan.crypto import Key
from borne_node.link.lorawan.link import LoraWanLink

_OTAA = {"join_eui": JOIN_EUI, "dev_eui": DEV_EUI, "app_key": APP_KEY}
CHIPS = ("sx1276", "sx1262")


class Street:
    def __init__(self, chip, region="EU868", identity=None, **options):
        self.clock = FakeClock()
        self.chip = sx127x.SX127x() if chip == "sx1276" else sx126x.SX126x()
        self.bus = RadioBus(self.chip, self.clock)
        self.antenna = Antenna(self.chip)
        self.plan = regions.load(region)
        self.network = Network(self.plan, self.antenna, APP_KEY, JOIN_EUI, DEV_EUI)
        self.nvs, self.rtc = FakeStore(), FakeStore()
        self.kind = chip
        self.arguments = (identity or _OTAA, region, self.clock, Entropy(), aes, self.nvs, self.rtc)
        self.options = options
        self.wake()

    def radio(self):
        bus = self.bus
        if self.kind == "sx1276":
            return SX127x(bus, bus.cs, bus.reset, self.clock)
        return SX126x(bus, bus.cs, bus.reset, bus.busy, self.clock)

    def wake(self, after_s=0):
        self.clock.sleep_ms(1000 * after_s)
        self.link = LoraWanLink(self.radio, *self.arguments, **self.options)
        return self.link

    def joined(self):
        self.link.open()
        return self


def test_join_send_receive_on_both_chips_in_every_region():
    for chip in CHIPS:
        for region in regions.NAMES:
            street = Street(chip, region).joined()
            street.network.answers = [
                None,
                {"port": 5, "payload": b"down"},
                {"port": 6, "payload": b"2", "window": 2},
            ]
            assert street.link.send(10, b"one") is None
            street.clock.sleep_ms(600_000)
            assert street.link.send(10, b"two") == (5, b"down"), (chip, region)
            street.clock.sleep_ms(600_000)
            assert street.link.send(10, b"three") == (6, b"2"), (chip, region)
            street.link.close()
            assert [row[0].payload for row in street.network.uplinks] == [b"one", b"two", b"three"]


def test_every_data_rate_is_answered_in_both_windows():
    for chip in CHIPS:
        street = Street(chip, fair_use_s=0).joined()
        for rate in range(6):
            for window in (1, 2):
                street.clock.sleep_ms(3_600_000)
                street.link._mac.session.rate = rate
                street.network.answers = [{"port": 5, "payload": bytes((rate, window)), "window": window}]
                assert street.link.send(1, b"up") == (5, bytes((rate, window))), (chip, rate, window)


def test_a_session_goes_on_after_deep_sleep():
    for chip in CHIPS:
        street = Street(chip).joined()
        for number in range(5):
            street.link.send(1, bytes((number,)))
            street.link.close()
            street.wake(900)
            street.link.open()
        assert street.network.sessions == 1
        assert [row[0].count for row in street.network.uplinks] == list(range(5))


def test_nobody_answers_the_join():
    street = Street("sx1276")
    street.network.accepts = False
    with raises(LinkDown) as caught:
        street.link.open()
    assert "registered" in str(caught.value)
    street.link.close()
    street.wake()
    with raises(NotBefore) as caught:
        street.link.open()
    assert caught.value.when > street.clock.now()
    assert APP_KEY not in str(caught.value).encode()


def test_time_of_the_network():
    for chip in CHIPS:
        street = Street(chip).joined()
        assert street.link.time() is None
        gps = 1_400_000_000
        answer = commands.pack(commands.DOWNLINK, commands.DEVICE_TIME, gps, 128)
        street.network.answers = [{"options": answer}]
        street.clock.sleep_ms(60_000)
        # The half second, the window of 1 s and the time on air of the answer have passed since.
        assert street.link.time() in (gps + 315964800 - 18 + 1, gps + 315964800 - 18 + 2)
        assert street.network.uplinks[-1][0].port is None


def test_a_lost_session_is_renewed_and_the_old_one_kept_meanwhile():
    street = Street("sx1276").joined()
    street.link.send(1, b"x")
    street.link._mac.adr.floor = 64
    street.link._mac.keep()
    street.link.close()
    street.network.accepts = False
    street.wake(900)
    street.link.open()
    street.link.send(1, b"old session")
    assert street.network.uplinks[-1][0].payload == b"old session"
    street.link._mac.adr.floor = 64
    street.link._mac.keep()
    street.link.close()
    # Neither do DevNonces that are used up, or unreadable, take the session away.
    for nonces in (b"\0\0\1\0" + street.link._mac.session.owner.to_bytes(4, "little"), b"\0"):
        street.nvs.durable["lw_nonce"], kept = nonces, street.nvs.durable["lw_nonce"]
        street.wake(7200)
        street.link.open()
        street.link.send(1, b"still")
        street.link._mac.adr.floor = 64
        street.link._mac.keep()
        street.link.close()
        street.nvs.durable["lw_nonce"] = kept
    street.network.accepts = True
    street.wake(3600)
    street.link.open()
    assert street.network.sessions == 2
    street.link.send(1, b"new session")
    assert street.network.uplinks[-1][0].count == 0


def test_alarms_are_confirmed():
    street = Street("sx1262", confirmed=(2,)).joined()
    street.network.answers = [{"control": frames.ACK}]
    street.link.send(2, b"fire")
    assert street.network.uplinks[-1][0].confirmed
    street.clock.sleep_ms(60_000)
    street.link.send(30, b"level")
    assert not street.network.uplinks[-1][0].confirmed


def test_personalization():
    network, application = bytes(range(16)), bytes(range(16, 32))
    identity = {"dev_addr": b"\x26\x01\x1b\xda", "nwk_skey": network, "app_skey": application}
    street = Street("sx1262", identity=identity)
    street.network.address = 0x26011BDA
    street.network.network, street.network.application = Key(aes, network), Key(aes, application)
    street.link.open()
    street.link.send(1, b"abp")
    assert street.network.uplinks[-1][0].payload == b"abp"


def test_malformed_identities_name_the_field():
    for name, value in (("dev_eui", b"1234567"), ("join_eui", b""), ("app_key", bytes(15))):
        identity = dict(_OTAA)
        identity[name] = value
        with raises(ValueError) as caught:
            Street("sx1276", identity=identity)
        assert name in str(caught.value)
    with raises(ValueError):
        Street("sx1276", region="EU86")


def test_a_chip_that_dies_is_link_down_and_comes_back():
    for chip in CHIPS:
        street = Street(chip).joined()
        street.chip.fail("stuck")
        with raises(RadioFault):
            street.link.send(1, b"x")
        street.link.close()
        street.chip.fail(None)
        street.wake(900)
        street.link.open()
        street.link.send(1, b"y")
        assert street.network.uplinks[-1][0].payload == b"y"


def test_a_store_that_fails_keeps_the_radio_silent():
    street = Street("sx1262").joined()

    def refuse(name, data):
        raise StorageError("full")

    street.nvs.write = refuse
    sent = len(street.chip.sent)
    with raises(LinkRefused):
        street.link.send(1, b"x")
    assert len(street.chip.sent) == sent
    street = Street("sx1262")
    street.nvs.write = refuse
    with raises(LinkRefused):
        street.link.open()
    assert street.chip.sent == []


def test_the_bus_breaks_at_any_frame():
    for chip in CHIPS:
        street = Street(chip, fair_use_s=0).joined()
        frames_cut = 0
        while True:
            street.bus.cut_after = frames_cut
            began = street.clock.slept_ms
            try:
                street.link.send(1, b"cut")
            except LinkDown:
                pass
            broken = street.bus.cut
            street.link.close()
            # However it ended: in time, and the next wake finds a radio that works.
            assert street.clock.slept_ms - began < 30_000, (chip, frames_cut)
            street.bus.cut, street.bus.cut_after = False, None
            street.wake(3600)
            street.link.open()
            street.link.send(1, bytes((frames_cut & 255,)))
            assert street.network.uplinks[-1][0].payload == bytes((frames_cut & 255,)), (chip, frames_cut)
            street.clock.sleep_ms(3_600_000)
            if not broken:
                break
            frames_cut += 1
        assert frames_cut > 40, chip
        assert street.network.sessions == 1


def test_close_at_any_time():
    street = Street("sx1276")
    street.link.close()
    street.link.open()
    street.bus.cut = True
    street.link.close()
    street.link.close()


def test_opening_error_of_the_windows():
    # The receiver is on before the preamble starts, and no earlier than the clock error asks for.
    for chip in CHIPS:
        street = Street(chip).joined()
        seen = []
        listen = lora_air.Receiver.locks

        def watch(receiver, packet, seen=seen, listen=listen):
            seen.append((receiver.start_us, packet.start_us))
            return listen(receiver, packet)

        lora_air.Receiver.locks = watch
        street.network.answers = [{"port": 1, "payload": b"x"}]
        assert street.link.send(1, b"up")
        lora_air.Receiver.locks = listen
        early = seen[0][1] - seen[0][0]
        assert -2_000 <= early <= 4_000, (chip, early)


def test_listen_before_talk_hears_who_is_on_the_air():
    for chip in CHIPS:
        street = Street(chip, "AS923-1-JP").joined()
        street.clock.sleep_ms(900_000)
        now = street.bus.now_us()
        first, second = [row[0] for row in street.plan.channels]
        for frequency, seconds in ((first, 1), (second, 2)):
            # Somebody else's long uplink, as loud as our own limit.
            other = lora_air.Transmission(bytes(200), now, frequency, 12, 125000)
            other.end_us, other.rssi = now + seconds * 1_000_000, -80
            street.chip.hear(other)
        with raises(NotBefore):
            street.link.send(1, b"x")
        street.clock.sleep_ms(1000)
        street.link.send(1, b"y")
        assert (street.chip.sent[-1].frequency + 1250) // 2500 * 2500 == first, chip
