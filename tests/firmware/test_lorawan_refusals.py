import sys
from binascii import hexlify

from lorawan_node import Entropy, joined, request, snapshot

from borne_node.chips.lora import Packet
from borne_node.link.lorawan import commands, frames

FORGERIES = 1_000_000 if sys.implementation.name == "cpython" else 100_000


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
