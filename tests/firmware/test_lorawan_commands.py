from lorawan_network import asked
from lorawan_node import exchange, joined, request, snapshot
from support import raises

from borne_node.link.lorawan import commands
from borne_node.link.lorawan.air import NotBefore


def test_commands_beside_a_payload_are_both_carried_out():
    node = joined()
    node.answer(
        port=7, payload=b"both", options=request(commands.RX_TIMING, 2) + request(commands.DEV_STATUS)
    )
    assert node.send().payload == b"both"
    node.network.delay = 2
    node.send()
    assert [one[0] for one in asked(node.last)] == [commands.RX_TIMING, commands.DEV_STATUS]
    assert node.mac.session.rx_delay == 2


def test_every_command_in_one_downlink():
    node = joined()
    node.mac.session.rate = 5
    node.network.channels.define(3, 867100000, 0, 5)
    stream = b"".join(
        (
            request(commands.LINK_CHECK, 20, 1),
            request(commands.LINK_ADR, 1, 5, 7, 1),
            request(commands.DUTY_CYCLE, 0),
            request(commands.RX_PARAM, 3, 0, 0, 8695250),
            request(commands.DEV_STATUS),
            request(commands.NEW_CHANNEL, 3, 8671000, 0, 5),
            request(commands.RX_TIMING, 1),
            request(commands.DL_CHANNEL, 0, 8681000),
            request(commands.DEVICE_TIME, 1_400_000_000, 0),
        )
    )
    node.answer(port=0, payload=stream)
    node.send()
    node.send(payload=b"data")
    first, second = [row[0] for row in node.network.uplinks[-2:]]
    # 15 bytes of FOpts hold all of these; what is repeated comes first.
    answers = dict(asked(second))
    assert (first.port, second.port) == (10, 10)
    assert answers == {
        commands.RX_PARAM: (1, 1, 1, 0),
        commands.RX_TIMING: (),
        commands.DL_CHANNEL: (1, 1, 0),
        commands.LINK_ADR: (1, 1, 1, 0),
        commands.DUTY_CYCLE: (),
        commands.DEV_STATUS: (255, 5, 0),
        commands.NEW_CHANNEL: (1, 1, 0),
    }
    assert node.mac.link == (20, 1) and node.mac.time


def test_rx1_offset_moves_the_first_window():
    for offset in range(6):
        node = joined()
        node.mac.session.rate = 5
        node.answer(port=0, payload=request(commands.RX_PARAM, 0, offset, 0, 8695250))
        node.send()
        node.answer(port=3, payload=b"ok", offset=offset)
        assert node.send().payload == b"ok"
        sf = node.radio.windows[-1][2][1]
        assert sf == 7 + offset


def test_receive_delay_of_each_length():
    for delay in (0, 1, 2, 8, 15):
        node = joined()
        node.answer(port=0, payload=request(commands.RX_TIMING, delay))
        node.send()
        node.network.delay = delay
        for place in (1, 2):
            node.answer(port=3, payload=b"ok", window=place)
            assert node.send().payload == b"ok", (delay, place)


def test_link_adr():
    node = joined()
    assert exchange(node, request(commands.LINK_ADR, 3, 4, 5, 2)) == [(commands.LINK_ADR, (1, 1, 1, 0))]
    session = node.mac.session
    assert (session.rate, session.power, session.channels.mask, session.transmissions) == (4, 3, 5, 2)
    # 15 keeps power and rate; NbTrans 0 is the default of 1.
    assert exchange(node, request(commands.LINK_ADR, 15, 15, 7, 0)) == [(commands.LINK_ADR, (1, 1, 1, 0))]
    assert (session.rate, session.power, session.channels.mask, session.transmissions) == (4, 3, 7, 1)


def test_link_adr_refusals_change_nothing():
    node = joined()
    for values, bits in (
        ((0, 5, 0, 1, 0), (0, 1, 1, 0)),  # no channel
        ((0, 5, 0x10, 1, 0), (0, 1, 1, 0)),  # a channel that is not defined
        ((0, 5, 7, 1, 1), (0, 1, 1, 0)),  # ChMaskCntl 1
        ((0, 5, 7, 1, 7), (0, 1, 1, 0)),
        ((0, 6, 7, 1, 0), (1, 0, 1, 0)),  # DR6 is on none of the channels
        ((0, 7, 7, 1, 0), (1, 0, 1, 0)),  # FSK
        ((8, 5, 7, 1, 0), (1, 1, 0, 0)),
        ((9, 14, 0, 1, 0), (0, 0, 0, 0)),
    ):
        before = snapshot(node)[0][2:5], node.mac.session.channels.mask
        assert exchange(node, request(commands.LINK_ADR, *values)) == [(commands.LINK_ADR, bits)], values
        assert (snapshot(node)[0][2:5], node.mac.session.channels.mask) == before


def test_link_adr_blocks_are_all_or_nothing():
    node = joined("US915")
    block = request(commands.LINK_ADR, 0, 0, 0, 1, 7) + request(commands.LINK_ADR, 2, 3, 0x00FF, 1, 0)
    assert exchange(node, block) == [(commands.LINK_ADR, (1, 1, 1, 0))] * 2
    assert node.mac.session.channels.mask == 0xFF
    block = request(commands.LINK_ADR, 0, 0, 0xFF, 1, 1) + request(commands.LINK_ADR, 0, 9, 0, 1, 0)
    assert exchange(node, block) == [(commands.LINK_ADR, (1, 0, 1, 0))] * 2
    assert node.mac.session.channels.mask == 0xFF
    # FCC 15.247: one hopping channel is too few.
    single = request(commands.LINK_ADR, 0, 0, 1, 1, 0)
    assert exchange(node, single) == [(commands.LINK_ADR, (0, 1, 1, 0))]
    # Interrupted by another command, these are two blocks.
    two = request(commands.LINK_ADR, 0, 9, 0xFF, 1, 0) + request(commands.DEV_STATUS)
    got = exchange(node, two + request(commands.LINK_ADR, 1, 2, 0xFF, 1, 0))
    assert [one[0] for one in got] == [commands.LINK_ADR, commands.DEV_STATUS, commands.LINK_ADR]
    assert got[0][1] == (1, 0, 1, 0) and got[2][1] == (1, 1, 1, 0)
    assert node.mac.session.rate == 2


def test_duty_cycle_request():
    node = joined()
    assert exchange(node, request(commands.DUTY_CYCLE, 8)) == [(commands.DUTY_CYCLE, ())]
    node.send()
    airtime = node.ether.up[-1][2] - node.ether.up[-1][1]
    with raises(NotBefore) as caught:
        node.send(wait_s=1)
    rest = caught.value.when - node.clock.now()
    assert abs(rest - airtime * 255 // 1_000_000) <= 4
    node.send(wait_s=rest + 1)


def test_rx_param_setup_is_repeated_until_a_downlink_comes():
    node = joined()
    node.answer(port=0, payload=request(commands.RX_PARAM, 3, 2, 0, 8691000))
    node.send()
    for _ in range(3):
        node.send()
        assert asked(node.last) == [(commands.RX_PARAM, (1, 1, 1, 0))]
    session = node.mac.session
    assert (session.rx2_rate, session.rx1_offset, session.rx2_hz) == (3, 2, 869100000)
    node.network.rx2 = (869100000, 3)
    node.answer(window=2)
    node.send()
    node.send()
    assert asked(node.last) == []


def test_sticky_answers_survive_deep_sleep():
    node = joined()
    node.answer(port=0, payload=request(commands.RX_TIMING, 3) + request(commands.DL_CHANNEL, 1, 8695250))
    node.send()
    node.deep_sleep(900)
    node.send()
    assert asked(node.last) == [(commands.RX_TIMING, ()), (commands.DL_CHANNEL, (1, 1, 0))]
    assert node.mac.session.rx_delay == 3
    assert node.mac.session.channels.down_hz(1) == 869525000


def test_rx_param_setup_refusals():
    for values, bits in (
        ((0, 0, 0, 9000000), (0, 1, 1, 0)),
        ((7, 0, 0, 8691000), (1, 0, 1, 0)),
        ((0, 6, 0, 8691000), (1, 1, 0, 0)),
        ((0, 0, 0, 0), (0, 1, 1, 0)),
    ):
        node = joined()
        assert exchange(node, request(commands.RX_PARAM, *values)) == [(commands.RX_PARAM, bits)]
        assert node.mac.session.rx2_hz == 869525000 and node.mac.session.rx1_offset == 0
    # DR4 is an uplink rate only, DR13 a downlink rate.
    for rate, bits in ((4, (1, 0, 1, 0)), (13, (1, 1, 1, 0))):
        assert exchange(joined("US915"), request(commands.RX_PARAM, rate, 0, 0, 9239000)) == [
            (commands.RX_PARAM, bits)
        ]


def test_device_status():
    node = joined(battery=lambda: 200)
    assert exchange(node, request(commands.DEV_STATUS)) == [(commands.DEV_STATUS, (200, 5, 0))]
    for snr, margin in ((-20, -20 & 63), (-40, -32 & 63), (40, 31), (-1, 63)):
        node.mac._carry_out(request(commands.DEV_STATUS), snr, 0)
        node.send()
        assert asked(node.last) == [(commands.DEV_STATUS, (200, margin, 0))]


def test_new_channel():
    node = joined()
    channels = node.mac.session.channels
    ok = [(commands.NEW_CHANNEL, (1, 1, 0))]
    node.network.channels.define(3, 867100000, 0, 5)
    assert exchange(node, request(commands.NEW_CHANNEL, 3, 8671000, 0, 5)) == ok
    assert channels.get(3) == (867100000, 0, 5) and channels.mask == 15
    for values, bits in (
        ((0, 8671000, 0, 5), (0, 0, 0)),  # a default channel
        ((1, 0, 0, 0), (0, 0, 0)),
        ((16, 8671000, 0, 5), (0, 0, 0)),
        ((4, 8700100, 0, 5), (0, 1, 0)),  # outside the band
        ((4, 8686500, 0, 5), (0, 1, 0)),  # between two sub-bands
        ((4, 8673000, 5, 0), (1, 0, 0)),
        ((4, 8673000, 0, 8), (1, 0, 0)),
    ):
        assert exchange(node, request(commands.NEW_CHANNEL, *values)) == [(commands.NEW_CHANNEL, bits)], (
            values
        )
        assert channels.mask == 15 and channels.get(4) is None
    node.mac.session.channels.set_down(3, 869525000)
    assert exchange(node, request(commands.NEW_CHANNEL, 3, 0, 0, 0)) == ok
    assert channels.get(3) is None and channels.mask == 7
    assert exchange(joined("US915"), request(commands.NEW_CHANNEL, 3, 9023000, 0, 3)) == []


def test_dl_channel():
    node = joined()
    assert exchange(node, request(commands.DL_CHANNEL, 0, 8695250)) == [(commands.DL_CHANNEL, (1, 1, 0))]
    node.network.channels.set_down(0, 869525000)
    for values, bits in (((0, 9000000), (0, 1, 0)), ((5, 8695250), (1, 0, 0)), ((200, 1), (0, 0, 0))):
        assert exchange(node, request(commands.DL_CHANNEL, *values)) == [(commands.DL_CHANNEL, bits)]
    for _ in range(3):
        node.answer(port=2, payload=b"in RX1")
        assert node.send().payload == b"in RX1"
    assert exchange(joined("AU915"), request(commands.DL_CHANNEL, 0, 9233000)) == []


def test_tx_param_setup():
    node = joined("AS923-1")
    assert node.mac.session.up_dwell
    node.mac.session.rate = 2
    assert node.mac.room() == 11
    assert exchange(node, request(commands.TX_PARAM, 2, 0, 0)) == [(commands.TX_PARAM, ())]
    assert node.mac.session.eirp == 12
    assert node.mac.room() == 115 - 1
    node.send()
    assert node.ether.up[-1][6] == 12
    # Elsewhere the command does not exist.
    assert exchange(joined(), request(commands.TX_PARAM, 2, 1, 1)) == []


def test_dwell_time_raises_a_rate_that_carries_nothing():
    node = joined("AS923-1")
    node.mac.session.up_dwell = False
    node.mac.session.rate = 0
    node.send()
    assert node.network.uplinks[-1][2] == 0
    node.answer(port=0, payload=request(commands.TX_PARAM, 5, 1, 0))
    node.send()
    node.send(payload=b"123")
    assert node.network.uplinks[-1][2] == 2


def test_link_check_and_device_time():
    node = joined()
    node.mac.ask_time()
    node.mac.answers.ask(commands.LINK_CHECK)
    gps = 1_400_000_000
    node.answer(options=request(commands.DEVICE_TIME, gps, 128) + request(commands.LINK_CHECK, 17, 2))
    node.send()
    assert [one[0] for one in asked(node.last)] == [commands.DEVICE_TIME, commands.LINK_CHECK]
    assert node.mac.link == (17, 2)
    unix, fraction, ticks = node.mac.time
    # 16203 days, 16:53:20 after 1980-01-06, less 18 leap seconds: 2024-05-17 16:53:02 UTC.
    assert (unix, fraction) == (1_715_964_782, 128)
    assert 0 <= ticks - node.ether.up[-1][2] // 1000 <= 2


def test_a_storm_of_commands_is_answered_on_port_0():
    node = joined()
    node.mac.session.rate = 5
    node.answer(port=0, payload=request(commands.DEV_STATUS) * 100)
    node.send()
    node.send(payload=b"data")
    first, second = [row[0] for row in node.network.uplinks[-2:]]
    assert first.port == 0 and len(asked(first)) == 21
    assert second.port == 10 and second.payload == b"data" and second.options == b""


def test_an_empty_uplink_gives_way_to_answers_that_fill_a_frame():
    node = joined()
    node.mac.session.rate = 5
    node.answer(port=0, payload=request(commands.DEV_STATUS) * 6)
    node.send()
    before = node.network.arrived
    node.clock.sleep_ms(900_000)
    node.mac.poll()
    assert node.network.arrived == before + 1
    assert node.last.port == 0 and len(asked(node.last)) == 6


def test_unknown_commands_stop_the_stream():
    node = joined()
    stream = request(commands.DEV_STATUS) + b"\x80" + request(commands.DEV_STATUS)
    assert len(exchange(node, stream)) == 1


def test_settings_of_the_network_survive_a_power_cut():
    node = joined()
    exchange(node, request(commands.LINK_ADR, 2, 3, 3, 2) + request(commands.RX_PARAM, 4, 1, 0, 8691000))
    node.network.settings = 1 << 4
    node.network.channels.define(5, 867500000, 0, 5)
    exchange(node, request(commands.NEW_CHANNEL, 5, 8675000, 0, 5) + request(commands.DUTY_CYCLE, 4))
    before = snapshot(node)
    node.power_cut()
    after = snapshot(node)
    assert after[0][2:9] == before[0][2:9]
    assert after[1] == before[1]
    assert node.mac.session.aggregate == 4
