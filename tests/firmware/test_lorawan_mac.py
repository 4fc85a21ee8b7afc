import sys
from binascii import hexlify

from lorawan_network import asked
from lorawan_node import Entropy, Node, joined
from support import raises

from borne_node.chips.lora import Packet, RadioFault
from borne_node.errors import LinkDown, LinkRefused, PayloadTooLong
from borne_node.link.lorawan import commands, frames
from borne_node.link.lorawan.air import NotBefore, window

FORGERIES = 1_000_000 if sys.implementation.name == "cpython" else 100_000


def request(command, *values):
    return commands.pack(commands.DOWNLINK, command, *values)


# Receive windows


def test_windows_open_in_time():
    node = joined()
    node.send()
    _, _, end, frequency, sf, bandwidth, _ = node.ether.up[-1]
    (first, symbols, settings), (second, _, late) = node.radio.windows[-2:]
    assert settings == (frequency, sf, bandwidth, True)
    assert late == (869525000, 12, 125000, True)
    # The preamble of 8 symbols starts at 1 s and 2 s after the end; ours are open before and long enough.
    assert end + 1_000_000 - 12_000 <= first <= end + 1_000_000
    assert end + 2_000_000 - 50_000 <= second <= end + 2_000_000 + 131_072
    assert symbols >= 6


def test_a_downlink_is_heard_in_either_window_however_the_clock_errs():
    for rate in range(6):
        for error in (-2, -1, 0, 1, 2):
            for place in (1, 2):
                node = joined()
                node.mac.session.rate = rate
                put = node.network.put

                def shifted(raw, end, *rest, put=put, error=error):
                    put(raw, end + 1000 * error, *rest)

                node.network.put = shifted
                node.answer(port=5, payload=b"ok", window=place)
                got = node.send()
                assert got and got.payload == b"ok", (rate, error, place)


def test_window_rule():
    # 6 of 8 symbols of the preamble lie in the window for every error up to the stated one.
    for sf in range(7, 13):
        for delay_ms in (1000, 5000, 15000):
            for ppm in (10, 100, 1000):
                offset, symbols = window(sf, 125000, delay_ms, ppm)
                symbol = (1 << sf) * 8
                error = 2000 + delay_ms * ppm // 1000
                opened = offset * 1000
                closed = opened + symbols * symbol
                for shift in (-error, 0, error):
                    overlap = min(closed, shift + 8 * symbol) - max(opened, shift)
                    # One millisecond is lost to whole ticks.
                    assert overlap >= 6 * symbol - 1000, (sf, delay_ms, ppm, shift, overlap / symbol)


def test_second_window_stays_shut_after_a_frame_of_ours():
    node = joined()
    node.answer(port=5, payload=b"1")
    node.send()
    before = len(node.radio.windows)
    node.answer(port=5, payload=b"2")
    node.send()
    assert len(node.radio.windows) == before + 1
    assert node.radio.mode == "sleep"


def test_second_window_opens_after_a_frame_of_somebody_else():
    node = joined()
    node.send()
    before = len(node.radio.windows)
    # A short one: a long one would still be on the air when the second window is due.
    put = node.network.put

    def with_noise(raw, end, index, rate, delay_ms, window, rx2):
        put(b"\x60" + bytes(11), end, index, rate, delay_ms, 1, rx2)
        put(raw, end, index, rate, delay_ms, 2, rx2)

    node.network.put = with_noise
    node.answer(port=9, payload=b"mine")
    assert node.send().payload == b"mine"
    assert len(node.radio.windows) == before + 2


def test_a_corrupt_frame_is_no_frame():
    node = joined()
    put = node.network.put

    def corrupt(*what):
        put(*what)
        node.ether.down[-1] = node.ether.down[-1][:4] + (None,)

    node.network.put = corrupt
    node.answer(port=9, payload=b"mine")
    before = len(node.radio.windows)
    assert node.send() is None
    assert len(node.radio.windows) == before + 2


# Uplinks


def test_confirmed_uplinks():
    node = joined()
    node.answer(control=frames.ACK)
    assert node.send(confirmed=True) is None
    assert node.last.confirmed
    with raises(LinkDown) as caught:
        node.send(confirmed=True)
    assert "acknowledge" in str(caught.value)
    # A downlink without ACK does not acknowledge.
    node.answer(port=3, payload=b"x")
    with raises(LinkDown):
        node.send(confirmed=True)
    assert node.mac.received().payload == b"x"


def test_nb_trans_repeats_the_same_frame_until_it_is_answered():
    node = joined()
    node.mac.session.transmissions = 3
    node.send()
    assert [row[0].count for row in node.network.uplinks] == [0, 0, 0]
    assert len({row[1] for row in node.network.uplinks}) == 1
    assert len({row[3] for row in node.network.uplinks}) == 3
    node.network.answers = [None, {"port": 4, "payload": b"stop"}]
    assert node.send().payload == b"stop"
    assert [row[0].count for row in node.network.uplinks] == [0, 0, 0, 1, 1]


def test_confirmed_downlinks_are_acknowledged_at_once():
    node = joined()
    node.answer(port=4, payload=b"cmd", confirmed=True)
    assert node.send().payload == b"cmd"
    assert node.last.port is None and node.last.payload == b""
    assert node.last.control & frames.ACK
    node.send()
    assert not node.last.control & frames.ACK


def test_pending_frames_are_fetched():
    node = joined()
    node.network.answers = [
        {"port": 4, "payload": b"1", "control": frames.PENDING},
        {"port": 4, "payload": b"2", "control": frames.PENDING},
        {"port": 4, "payload": b"3"},
    ]
    assert node.send().payload == b"1"
    assert node.mac.received().payload == b"2"
    assert node.mac.received().payload == b"3"
    assert node.mac.received() is None


def test_payloads_have_the_room_of_the_rate():
    node = joined()
    for rate, room in ((0, 51), (2, 51), (3, 115), (5, 242)):
        node.mac.session.rate = rate
        assert node.mac.room() == room
        with raises(PayloadTooLong):
            node.send(payload=bytes(room + 1))
        node.send(payload=bytes(room), wait_s=3600)
        assert len(node.last.payload) == room


def test_room_counts_what_is_owed():
    node = joined()
    node.mac.session.rate = 0
    node.answer(options=request(commands.DEV_STATUS) + request(commands.RX_TIMING, 1))
    node.send()
    assert node.mac.room() == 51 - 3 - 1
    # A payload that leaves no room for the answers waits until these have gone by themselves.
    node.send(payload=bytes(51))
    data = [row[0] for row in node.network.uplinks[-2:]]
    assert [one.port for one in data] == [0, 10]
    assert [one[0] for one in asked(data[0])] == [commands.RX_TIMING, commands.DEV_STATUS]
    assert len(data[1].payload) == 51


def test_a_question_waits_for_room():
    node = joined()
    node.mac.session.rate = 0
    node.mac.ask_time()
    before = node.network.arrived
    node.send(payload=bytes(51))
    assert node.network.arrived == before + 1
    assert node.last.port == 10 and node.last.options == b""
    assert node.mac.room() == 51
    node.send(wait_s=3600)
    assert asked(node.last) == [(commands.DEVICE_TIME, ())]


def test_ports():
    node = joined()
    for port in (0, 224, 255):
        with raises(ValueError):
            node.mac.send(port, b"")
    for port in (224, 255):
        node.answer(port=port, payload=b"no")
        assert node.send() is None


def test_not_joined():
    with raises(LinkDown):
        Node().mac.send(1, b"")


def test_all_frame_counters_used_up():
    node = joined()
    node.mac.session.up = node.mac.session.reserved = 0xFFFFFFFE
    node.network.counts[node.network.sessions] = 0xFFFFFFFD
    node.send()
    with raises(LinkRefused):
        node.send()
    assert not node.mac.joined
    # The next wake does not take the session up again, but joins.
    node.deep_sleep()
    assert not node.mac.joined
    node.clock.sleep_ms(3_600_000)
    assert node.join()
    node.send()
    assert node.last.count == 0


def test_counters_cross_16_bits():
    node = joined()
    node.mac.session.up = node.mac.session.reserved = 0xFFFE
    node.network.counts[node.network.sessions] = 0xFFFD
    node.network.down = 0xFFFE
    node.mac.session.down = 0xFFFD
    for number in range(4):
        node.answer(port=1, payload=bytes((number,)))
        assert node.send().payload == bytes((number,))
    assert node.last.count == 0x10001
    assert node.mac.session.down == 0x10001


# Downlinks that are refused


def snapshot(node):
    session = node.mac.session
    names = (
        "address",
        "keys",
        "rate",
        "power",
        "transmissions",
        "rx1_offset",
        "rx2_hz",
        "rx2_rate",
        "rx_delay",
    )
    values = [getattr(session, name) for name in names]
    values += [
        session.aggregate,
        session.eirp,
        session.up_dwell,
        session.down_dwell,
        session.down,
        session.up,
    ]
    return values, session.channels.pack(), node.mac.answers.fitting(99), node.mac._owed, node.mac._more


def downlink(node, count, **what):
    data = frames.Data(
        what.get("down", True),
        what.get("confirmed", False),
        what.get("address", node.network.address),
        what.get("control", 0),
        count,
        what.get("options", b""),
        what.get("port", 1),
        what.get("payload", b"evil"),
    )
    network = what.get("network", node.network.network)
    return bytes(frames.build(network, node.network.application, data))


def take(node, frame):
    return node.mac._take(Packet(bytes(frame), -90, 5), 5, 0)


def test_replays_and_strangers():
    node = joined()
    node.answer(port=1, payload=b"good", count=70000)
    # 70000 is more than 65535 above: only the low half travels, so the device takes it for 4464.
    assert node.send() is None
    node.answer(port=1, payload=b"good", count=500)
    assert node.send().payload == b"good"
    before = snapshot(node)
    refused = [
        downlink(node, 500),
        downlink(node, 499),
        downlink(node, 0),
        downlink(node, 501, address=0x26000002),
        downlink(node, 501, down=False),
        downlink(node, 501, network=node.network.application),
        downlink(node, 501)[:-1] + b"\0\0",
        downlink(node, 501) + b"\0",
        b"",
        b"\x60",
        bytes(300),
    ]
    tampered = bytearray(downlink(node, 501))
    for place in range(len(tampered)):
        for bit in range(8):
            tampered[place] ^= 1 << bit
            refused.append(bytes(tampered))
            tampered[place] ^= 1 << bit
    for frame in refused:
        assert take(node, frame) is None, hexlify(frame)
        assert snapshot(node) == before
    assert take(node, downlink(node, 501)).payload == b"evil"


def test_reserved_bits_are_ignored():
    node = joined()
    frame = bytearray(downlink(node, 1))
    frame[0] |= 0x1C  # MHDR
    frame[5] |= 0x40  # FCtrl of a downlink
    frame[-4:] = node.network.network.frame_mic(bytes(frame[:-4]), 1, node.network.address, 1)
    assert take(node, frame).payload == b"evil"
    frame[0] |= 0x01  # Major is no reserved field
    frame[-4:] = node.network.network.frame_mic(bytes(frame[:-4]), 1, node.network.address, 1)
    node.mac.session.down = None
    assert take(node, frame) is None


def test_oversized_frames_are_refused():
    node = joined()
    frame = downlink(node, 1, payload=bytes(52))
    assert node.mac._take(Packet(frame, -90, 5), 0, 0) is None
    assert node.mac._take(Packet(frame, -90, 5), 3, 0) is not None


def test_port_0_beside_options_is_refused():
    node = joined()
    frame = bytearray(downlink(node, 1, port=0, payload=request(commands.DEV_STATUS)))
    options = request(commands.RX_TIMING, 3)
    frame = frame[:5] + bytes((frame[5] | len(options),)) + frame[6:8] + options + frame[8:-4]
    frame += node.network.network.frame_mic(frame, 1, node.network.address, 1)
    before = snapshot(node)
    assert take(node, frame) is None
    assert snapshot(node) == before


def forge(node, entropy, number):
    """Random bytes, or a good frame with something broken: wrong length, wrong bits, cut, extended."""
    kind = number % 4
    if kind == 0:
        return entropy(entropy(1)[0])
    if kind == 1:
        return bytes((0x60 | entropy(1)[0] & 0x80,)) + node.address_bytes + entropy(7 + entropy(1)[0] % 60)
    frame = bytearray(node.sample)
    if kind == 2:
        place = entropy(1)[0] % len(frame)
        frame[place] ^= 1 << entropy(1)[0] % 8
        return bytes(frame)
    return bytes(frame[: entropy(1)[0] % len(frame)]) + entropy(entropy(1)[0] % 8 + 1)


def test_forged_downlinks_never_change_anything():
    node = joined()
    node.send()
    node.address_bytes = node.network.address.to_bytes(4, "little")
    node.sample = downlink(node, 1, options=request(commands.LINK_ADR, 1, 0, 7, 1), payload=b"x" * 20)
    entropy = Entropy(4711)
    before = snapshot(node)
    for number in range(FORGERIES):
        frame = forge(node, entropy, number)
        # A cut frame may be completed by chance.
        if frame != node.sample:
            assert take(node, frame) is None, hexlify(frame)
    assert snapshot(node) == before
    assert take(node, node.sample) is not None


def test_random_commands_from_the_network_itself():
    # Signed by the real network key, so all of it is carried out; nothing may raise, and the node stays able to send.
    for region in ("EU868", "US915", "AS923-1"):
        node = joined(region)
        entropy = Entropy(99)
        for number in range(300):
            payload = entropy(1 + entropy(1)[0] % 40)
            take(node, downlink(node, number, port=0, payload=payload))
            node.mac._settle()
            assert len(node.mac.answers.fitting(99)) <= 66
        node.mac.session.aggregate = 0
        node.network.channels = node.mac.session.channels
        node.network.lose_up = lambda: True
        node.send(payload=b"", wait_s=7200)
        node.deep_sleep()
        assert node.mac.joined


def test_frames_of_other_kinds_are_ignored():
    node = joined()
    good = downlink(node, 1)
    before = snapshot(node)
    for kind in (0x00, 0x20, 0x40, 0x80, 0xC0, 0xE0):
        # Join request, join accept, uplinks, rejoin request, proprietary: signed all the same.
        frame = bytes((kind,)) + good[1:-4]
        frame += bytes(node.network.network.frame_mic(frame, 1, node.network.address, 1))
        assert take(node, frame) is None, kind
        assert snapshot(node) == before
    assert take(node, good) is not None


def test_a_repeated_confirmed_downlink_is_neither_obeyed_nor_acknowledged_again():
    node = joined()
    node.answer(port=4, payload=b"cmd", confirmed=True)
    assert node.send().payload == b"cmd"
    assert node.last.control & frames.ACK
    before = node.network.arrived
    node.answer(port=4, payload=b"cmd", confirmed=True, count=node.mac.session.down)
    assert node.send() is None
    assert node.network.arrived == before + 1
    node.send()
    assert not node.last.control & frames.ACK


# MAC commands


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


def exchange(node, stream):
    """What the device answers to a stream of requests."""
    node.answer(port=0, payload=stream)
    node.send()
    node.send()
    return asked(node.last)


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


# The radio fails


def test_a_radio_that_never_ends_is_reported_and_the_next_uplink_works():
    node = joined()
    node.radio.fail_mode = "stuck"
    with raises(RadioFault):
        node.send()
    node.radio.fail_mode = None
    node.send()
    assert node.radio.faults == 1
    # The lost frame's counter is not used again.
    assert node.last.count == 1


# Region, dBm from which a channel is taken, and milliseconds that it is listened to.
_LISTENING = (("KR920", -65, 6), ("AS923-1-JP", -80, 5))


def test_listen_before_talk():
    for region, limit, duration in _LISTENING:
        node = joined(region)
        node.radio.noise_dbm = limit
        node.clock.sleep_ms(900_000)
        with raises(NotBefore) as caught:
            node.send(wait_s=0)
        assert "busy" in str(caught.value)
        assert 1 <= caught.value.when - node.clock.now() <= 8
        node.radio.noise_dbm = limit - 1
        node.radio.listened = 0
        node.send()
        assert node.radio.listened == duration + 1, region
        # No counter went with the frame that was not sent.
        assert node.last.count == 0


def test_a_busy_channel_is_left_to_who_is_on_it():
    for region, limit, _ in _LISTENING:
        node = joined(region)
        first, second = node.plan.channels[:2]
        node.radio.busy = {one[0]: limit + 10 for one in node.plan.channels if one != second}
        for _ in range(8):
            node.send()
            assert node.ether.up[-1][3] == second[0]
        node.radio.busy = {one[0]: limit + 10 for one in node.plan.channels}
        with raises(NotBefore):
            node.send()


def test_a_join_request_listens_first_too():
    for region, limit, _ in _LISTENING:
        node = Node(region)
        node.radio.noise_dbm = limit
        with raises(NotBefore):
            node.join()
        assert node.ether.up == [] and node.network.nonces == set()
        node.radio.noise_dbm = limit - 1
        assert node.join()


def test_retransmissions_stop_where_every_channel_is_taken():
    node = joined("KR920")
    node.mac.session.transmissions = 3
    before = len(node.ether.up)

    def taken(*_):
        node.radio.noise_dbm = -50

    node.ether.listeners.append(taken)
    node.send()
    assert len(node.ether.up) == before + 1


def test_japan_keeps_to_its_channels():
    node = joined("AS923-1-JP")
    ok, no = [(commands.NEW_CHANNEL, (1, 1, 0))], [(commands.NEW_CHANNEL, (0, 1, 0))]
    node.network.channels.define(2, 922000000, 0, 5)
    assert exchange(node, request(commands.NEW_CHANNEL, 2, 9220000, 0, 5)) == ok
    for frequency in (9204000, 9236000, 9280000):
        assert exchange(node, request(commands.NEW_CHANNEL, 3, frequency, 0, 5)) == no
    # DR6 is 250 kHz wide.
    assert exchange(node, request(commands.LINK_ADR, 0, 6, 7, 1)) == [(commands.LINK_ADR, (1, 0, 1, 0))]
    assert exchange(node, request(commands.TX_PARAM, 5, 0, 0)) == [(commands.TX_PARAM, ())]
    node.send()
    assert node.ether.up[-1][6] == 13
