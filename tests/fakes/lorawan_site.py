"""A radio and a network server for a whole node (node.py): it also tells the time and keeps what it received."""

from binascii import unhexlify

from lorawan_network import Network
from radio import Ether, FakeRadio

from borne_node.link.lorawan import commands, frames, regions

_GPS_EPOCH, _LEAP = 315964800, 18
APP_KEY = bytes(range(16))


class Site(Network):
    """`received`: (port, payload) of every uplink with a payload; `tells_time`: whether DeviceTimeReq is answered."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.began = 0
        self.tells_time = True
        self.received = []
        self.sizes = []

    def data(self, frame, end, index, frequency, rate):
        head = frames.parse(frame)
        if head and self.tells_time and commands.DEVICE_TIME in [one[0] for one in asked(head)]:
            gps = self.began + end // 1_000_000 - _GPS_EPOCH + _LEAP
            options = commands.pack(commands.DOWNLINK, commands.DEVICE_TIME, gps, 0)
            if self.answers:
                self.answers[0]["options"] = options
            else:
                self.answers.append({"options": options})
        super().data(frame, end, index, frequency, rate)
        data = self.uplinks[-1][0]
        if data.port:
            self.received.append((data.port, data.payload))
            self.sizes.append(len(frame))


def asked(head):
    return list(commands.parse(commands.UPLINK, head.options))


def make(clock, now, identity, region):
    """(Site, FakeRadio) of a node with this identity, at unix second `now`."""
    plan = regions.load(region)
    ether = Ether(clock)
    euis = [unhexlify(identity[name]) for name in ("join_eui", "dev_eui")]
    site = Site(plan, ether, APP_KEY, *euis)
    site.began = now
    return site, FakeRadio(ether)
