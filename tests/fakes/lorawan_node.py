"""A node of the LoRaWAN tests: the real stack over a fake radio, clock and stores, and what happens to its power."""

from aes import aes
from clock import FakeClock
from lorawan_network import Network, asked
from radio import Ether, FakeRadio
from store import FakeStore

from borne_node.link.lorawan import commands, join, regions, requests  # noqa: F401  loaded once, for a node loads them each time
from borne_node.link.lorawan.mac import Mac
from borne_node.link.lorawan.regions import eu868  # noqa: F401

APP_KEY = bytes(range(16))
JOIN_EUI = b"\x70\xb3\xd5\x7e\xd0\0\0\x01"
DEV_EUI = b"\x70\xb3\xd5\x7e\xd0\x12\x34\x56"


class Entropy:
    """Bytes of a linear congruential generator: repeatable, and none of the firmware's business."""

    def __init__(self, seed=1):
        self.state = seed

    def __call__(self, count):
        out = bytearray(count)
        for place in range(count):
            self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
            out[place] = self.state >> 16 & 0xFF
        return bytes(out)


class Node:
    def __init__(self, region="EU868", seed=1, **options):
        self.plan = regions.load(region)
        self.clock = FakeClock()
        self.ether = Ether(self.clock)
        self.radio = FakeRadio(self.ether)
        self.network = Network(self.plan, self.ether, APP_KEY, JOIN_EUI, DEV_EUI)
        self.nvs = FakeStore()
        self.rtc = FakeStore()
        self.entropy = Entropy(seed)
        self.options = options
        self.boot()

    def boot(self):
        """The firmware starts: the objects are new, what the stores hold stays."""
        self.radio.mode = "sleep"
        self.mac = Mac(
            self.plan,
            self.radio,
            self.clock,
            self.entropy,
            aes,
            self.nvs,
            self.rtc,
            0xB0B0,
            **self.options,
        )
        return self.mac

    def deep_sleep(self, seconds=0):
        self.clock.sleep_ms(1000 * seconds)
        self.nvs.reboot()
        self.rtc.reboot()
        return self.boot()

    def power_cut(self):
        self.nvs.reboot()
        self.rtc = FakeStore()
        return self.boot()

    def join(self):
        return self.mac.join(JOIN_EUI, DEV_EUI, APP_KEY)

    def send(self, port=10, payload=b"abc", wait_s=900, **how):
        """Send after a pause; what the network got is the last of `network.uplinks`."""
        self.clock.sleep_ms(1000 * wait_s)
        return self.mac.send(port, payload, **how)

    @property
    def next_join(self):
        """Unix seconds from which the back-off allows the next join request."""
        return self.mac._joins[2]

    def answer(self, **what):
        self.network.answers.append(what)

    @property
    def last(self):
        """The Data of the last uplink that arrived."""
        return self.network.uplinks[-1][0]


def joined(region="EU868", **options):
    node = Node(region, **options)
    assert node.join()
    return node


def request(command, *values):
    """A MAC command of the network, as its bytes."""
    return commands.pack(commands.DOWNLINK, command, *values)


def snapshot(node):
    """All that a refused frame must leave as it is."""
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


def exchange(node, stream):
    """What the device answers to a stream of requests."""
    node.answer(port=0, payload=stream)
    node.send()
    node.send()
    return asked(node.last)
