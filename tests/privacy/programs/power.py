"""A parking node whose power fails at any change of NVS, of flash or of the air; what the broker got, and was it paid.

The kill points are numbered over all three. The processor stops there: nothing of the node runs on.
"""

import struct

import node as nodes
from disk import FlashDisk
from net import FakeNet, FakeSocket
from store import FakeStore

from borne_node.report import codec, schema
from borne_node.sealed import unseal

_WINDOW_S = 900


class Dead(BaseException):
    """Not an Exception: a node without power handles no errors."""


class Power:
    """Counts changes; the one numbered `kill` does not happen, nor does anything after it."""

    def __init__(self):
        self.count = 0
        self.kill = None

    def spend(self):
        if self.kill is not None and self.count >= self.kill:
            raise Dead
        self.count += 1


class Store(FakeStore):
    power = None

    def _tick(self):
        if self.power:
            self.power.spend()


class Disk(FlashDisk):
    """littlefs swallows no exception of Python's: the block device refuses, and the next seam stops the node."""

    power = None

    def _cut(self):
        power = self.power
        if power and power.kill is not None and power.count >= power.kill:
            self.off = True
        elif power:
            power.count += 1
        return self.off


class Socket(FakeSocket):
    def write(self, view):
        self.net.power.spend()
        return super().write(view)


class Net(FakeNet):
    power = None

    def socket(self, family, kind):
        self.sockets.append(Socket(self))
        return self.sockets[-1]


class Published(list):
    """The broker's list; at each report it looks whether the ledger has the window."""

    def __init__(self, store):
        super().__init__()
        self.store = store
        self.unpaid = 0

    def append(self, message):
        super().append(message)
        port = int(message[0].split("/")[-1])
        if port == schema.ZONE:
            window = codec.decode(port, message[1]).window
            spent = [unseal(self.store.durable.get(slot)) for slot in ("ledger0", "ledger1")]
            starts = [struct.unpack("<IHH4s", body)[0] for body in spent if body]
            width = 1 << schema.row(port)[2]
            newest = max(starts or [0]) // _WINDOW_S
            # The index wraps: a window is paid when the newest paid one is it or a later one.
            self.unpaid += (newest - window) % width > width // 2 or not starts


def powered(seed):
    node = nodes.Node("parking", seed=seed, bays=2, profile="zone")
    power = Power()
    node.nvs = Store()
    net = Net(node.clock, node.net.peers)
    node.net = net
    nodes.sys.modules["socket"] = nodes.sys.modules["select"] = net
    node.broker.published = Published(node.nvs)
    node.nvs.power = net.power = node.disk.power = power
    return node, power


def main(tell, seed, points, step):
    nodes.FlashDisk = Disk
    node, power = powered(seed)
    for _ in range(8):
        node.wake()
    node.fields[0][2] += 40.0
    cuts = seen = 0
    while cuts < points:
        # From 0 to `step` changes on: a wake that sends makes about forty.
        power.kill = power.count + (cuts * 7919 + seed) % step
        try:
            while power.count < power.kill:
                node.wake()
        except Dead:
            pass
        # Also when the last change was the wake's own end: the power fails while it sleeps.
        cuts += 1
        seen += 1
        revive(node, power, lost=cuts % 3 != 0)
        node.wake()
    power.kill = None
    node.live(2 * _WINDOW_S)
    tell({"cuts": cuts, "unpaid": node.broker.published.unpaid, "frames": frames(node)})


def revive(node, power, lost):
    """Power comes back; RTC memory is `lost`, or kept as over a watchdog's reset."""
    power.kill = None
    node.nvs.reboot()
    node.disk.power_on()
    node.broker.connections[:] = []
    node.net.sockets[:] = []
    node.wlan.active(False)
    if lost:
        node.rtc(b"")
    node.cause = nodes.POWER_ON if lost else nodes.WATCHDOG
    remount(node)


def remount(node):
    nodes.os.chdir("/")
    nodes.vfs.umount(nodes.PLACE)
    nodes.vfs.mount(nodes.vfs.VfsLfs2(node.disk, progsize=32, readsize=32, lookahead=32), nodes.PLACE)
    nodes.os.chdir(nodes.PLACE)


def frames(node):
    published = [(int(topic.split("/")[-1]), payload) for topic, payload in node.broker.published]
    return [payload.hex() for port, payload in published if port == schema.ZONE]
