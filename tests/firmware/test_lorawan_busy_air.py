from lorawan_node import Node, exchange, joined, request
from support import raises

from borne_node.chips.lora import RadioFault
from borne_node.link.lorawan import commands
from borne_node.link.lorawan.air import NotBefore


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
