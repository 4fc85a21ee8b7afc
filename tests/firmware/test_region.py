"""The channel plans: each is whole, and what RP002-1.0.4 says of it is spot-checked against the document."""

from support import raises

from borne_node.link.lorawan import regions
from borne_node.link.lorawan.channels import Channels
from borne_node.link.lorawan.masks import add_list, masked

# Region, RX2, most EIRP, application bytes of the lowest and highest rate of the default channels.
_SPOTS = (
    ("EU868", (869525000, 0), 16, (51, 242)),
    ("EU433", (434665000, 0), 12, (51, 242)),
    ("IN865", (866550000, 2), 30, (51, 242)),
    ("KR920", (921900000, 0), 14, (51, 242)),
    ("AS923-1", (923200000, 2), 16, (51, 242)),
    ("AS923-1-JP", (923200000, 2), 13, (51, 242)),
    ("AS923-2", (921400000, 2), 16, (51, 242)),
    ("AS923-3", (916600000, 2), 16, (51, 242)),
    ("AS923-4", (917300000, 2), 16, (51, 242)),
    ("US915", (923300000, 8), 30, (11, 242)),
    ("AU915", (923300000, 8), 30, (51, 242)),
)


def entropy(count):
    return bytes(count)


def anywhere(frequency):
    return True


def test_spots():
    assert sorted(row[0] for row in _SPOTS) == list(regions.NAMES)
    for name, rx2, eirp, room in _SPOTS:
        plan = regions.load(name)
        assert plan.name == name
        assert plan.rx2 == rx2, name
        assert plan.max_eirp == eirp, name
        assert (plan.room(0, False), plan.room(3, False)) in ((room[0], 115), (room[0], room[1])), name


def test_each_plan_is_whole():
    for name in regions.NAMES:
        plan = regions.load(name)
        low, high = plan.up_rates
        assert len(plan.rx1) == high + 1, name
        assert len({len(row) for row in plan.rx1}) == 1, name
        assert len(plan.sizes) == len(plan.rates), name
        for index, rate in enumerate(plan.rates):
            assert bool(rate) == bool(plan.sizes[index]), (name, index)
        assert plan.rate(plan.rx2[1]), name
        assert plan.downlink(plan.rx2[0]), name
        for rate in plan.join_rates:
            assert low <= rate <= high, name
        channels = Channels(plan)
        for index in range(channels.count):
            channel = channels.get(index)
            if channel:
                assert plan.band(channel[0]) is not None, (name, channel)
                assert plan.downlink(channels.down_hz(index)), (name, index)


def test_unknown_region_names_the_known_ones():
    with raises(ValueError) as caught:
        regions.load("EU869")
    assert "EU868" in str(caught.value)


def test_sub_bands_of_eu868():
    plan = regions.load("EU868")
    duty = [
        plan.bands[plan.band(hz)][2]
        for hz in (864000000, 867100000, 868100000, 868800000, 869525000, 869800000)
    ]
    assert duty == [1000, 100, 100, 1000, 10, 100]
    for hz in (862999999, 868650000, 869300000, 869680000, 870000001, 915000000):
        assert plan.band(hz) is None, hz


def test_kr920_keeps_its_raster_and_its_low_channels_their_power():
    plan = regions.load("KR920")
    assert plan.bands[plan.band(921900000)][3] == 10
    assert plan.bands[plan.band(922100000)][3] == 14
    assert plan.band(922150000) is None


def test_rx1_rates():
    assert regions.load("EU868").rx1_rate(5, 2, False) == 3
    assert regions.load("US915").rx1_rate(0, 0, False) == 10
    assert regions.load("US915").rx1_rate(4, 3, False) == 11
    assert regions.load("AU915").rx1_rate(2, 5, False) == 8
    asia = regions.load("AS923-1")
    assert asia.rx1_rate(2, 7, False) == 4
    assert asia.rx1_rate(3, 5, False) == 0
    assert asia.rx1_rate(3, 5, True) == 2


def test_fixed_channels():
    channels = Channels(regions.load("US915"))
    assert channels.get(0) == (902300000, 0, 3)
    assert channels.get(63) == (914900000, 0, 3)
    assert channels.get(64) == (903000000, 4, 4)
    assert channels.get(71) == (914200000, 4, 4)
    assert channels.get(72) is None
    assert channels.down_hz(0) == 923300000
    assert channels.down_hz(71) == 927500000
    channels = Channels(regions.load("AU915"))
    assert channels.get(63) == (927800000, 0, 5)
    assert channels.get(71) == (927100000, 6, 6)


def test_mask_controls_of_a_dynamic_plan():
    channels = Channels(regions.load("EU868"))
    assert masked(channels, 7, 0, 5) == 5
    assert masked(channels, 7, 0, 9) is None  # channel 3 is not defined
    assert masked(channels, 1, 6, 0) == 7
    for control in (1, 2, 3, 4, 5, 7):
        assert masked(channels, 7, control, 1) is None


def test_mask_controls_of_a_fixed_plan():
    channels = Channels(regions.load("US915"))
    assert masked(channels, 0, 1, 0x00FF) == 0xFF << 16
    assert masked(channels, 0, 4, 0x00FF) == 0xFF << 64
    assert masked(channels, channels.mask, 5, 2) == 0xFF << 8 | 2 << 64
    assert masked(channels, 0, 6, 1) == (1 << 64) - 1 | 1 << 64
    assert masked(channels, (1 << 72) - 1, 7, 4) == 4 << 64
    channels.mask = masked(channels, 0, 5, 2)
    assert channels.narrow(channels.mask) == 8


def test_channels_are_taken_in_turn():
    channels = Channels(regions.load("EU868"))
    taken = [channels.pick(5, entropy, anywhere) for _ in range(6)]
    assert sorted(taken[:3]) == sorted(taken[3:]) == [0, 1, 2]
    assert channels.pick(6, entropy, anywhere) is None
    assert channels.pick(5, entropy, lambda hz: False) is None
    assert channels.pick(5, entropy, lambda hz: hz == 868300000) == 1


def test_frequency_list_of_a_join_accept():
    channels = Channels(regions.load("EU868"))
    raw = bytes.fromhex("184f84e85684b85e84886684586e8400")
    add_list(channels, raw)
    assert [channels.get(i)[0] for i in range(3, 8)] == [
        867100000,
        867300000,
        867500000,
        867700000,
        867900000,
    ]
    assert channels.mask == 0xFF
    before = channels.pack()
    add_list(channels, raw[:15] + b"\x01")
    add_list(channels, bytes(16))
    assert channels.pack() == before


def test_mask_list_of_a_join_accept():
    channels = Channels(regions.load("US915"))
    add_list(channels, b"\x00\xff" + bytes(6) + b"\x02" + bytes(6) + b"\x01")
    assert channels.mask == 0xFF << 8 | 2 << 64


def test_channels_survive_packing():
    channels = Channels(regions.load("EU868"))
    channels.define(4, 867300000, 0, 5)
    channels.define(7, 868800000, 1, 3)
    channels.set_down(0, 869525000)
    channels.mask = 0x91
    again = Channels(regions.load("EU868"))
    again.unpack(channels.pack())
    assert again.pack() == channels.pack()
    assert again.get(7) == (868800000, 1, 3)
    assert again.down_hz(0) == 869525000
    assert again.mask == 0x91
    again.define(7, 0, 0, 0)
    assert again.get(7) is None and again.mask == 0x11
