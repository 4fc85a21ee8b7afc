"""Whole nodes whose sensors deliver planted identifiers; all that leaves them, and what lies on their flash.

`world` changes the identifiers only: which bays are taken, how full and how bright it is are the same in every world.
"""

import hashlib

import node as nodes
import vfs
from bus import FakeI2C, FakeUart

_HOUR = 3600
_BATCH = 500
_CRASH_EVERY = 11  # a wake in which a driver fails by an exception that quotes what it read


class Taps:
    """What the sensors really delivered, byte for byte; told in batches, for there may be millions."""

    def __init__(self, tell):
        self.tell = tell
        self.seen = []
        self.crash = False

    def flush(self):
        self.tell({"planted": [one.hex() for one in self.seen]})
        self.seen = []

    def note(self, data):
        self.seen.append(bytes(data))
        if len(self.seen) == _BATCH:
            self.flush()
        if self.crash:
            self.crash = False
            raise ValueError("cannot read %s" % bytes(data).hex())


def tapped(taps):
    class I2C(FakeI2C):
        def readfrom_mem_into(self, address, register, buf):
            super().readfrom_mem_into(address, register, buf)
            if register == 0 and len(buf) >= 6:
                taps.note(buf[:6])

    class Uart(FakeUart):
        def readinto(self, buf):
            count = super().readinto(buf)
            if count and count >= 4:
                taps.note(buf[:4])
            return count

    nodes.FakeI2C, nodes.FakeUart = I2C, Uart


class Vfs:
    """The module `vfs` without the times of files: this computer's clock stands in them, not the node's."""

    umount, mount = vfs.umount, vfs.mount

    class VfsLfs2:
        mkfs = vfs.VfsLfs2.mkfs

        def __new__(cls, disk, **sizes):
            return vfs.VfsLfs2(disk, mtime=False, **sizes)


def chance(world, *labels):
    """-1..1, of its own for every world and label."""
    found = hashlib.sha256(("%s/%s" % (world, labels)).encode()).digest()
    return int.from_bytes(found[:4], "big") / 2**31 - 1


def parking(world):
    node = nodes.Node("parking", bays=8)

    def field(bay):
        def at(t):
            wake = int(t) // _HOUR
            taken = (int(t) // _HOUR + bay) % 3 and t > nodes.NOW + 2 * _HOUR
            # Within one mark of sense/baseline.py, so that the detector learns the same in every world. The empty bay's
            # field is nobody's.
            spread = 3.0 if taken else 0.0
            # Cars that come at once are not alike, as what a tram does to all bays.
            up = -35.0 if bay % 2 else 29.0
            own = [spread * chance(world, bay, wake, axis) for axis in range(3)]
            return tuple(e + o + c for e, o, c in zip(nodes.EARTH, own, (0, 7.0, up) if taken else (0, 0, 0)))

        return at

    node._field = field
    node._chips("parking")
    return node


def fill(world):
    node = nodes.Node("fill", depth_mm=1200, offset_mm=100)
    # The middle of a 5 % step, give or take less than half of it.
    node.distance = lambda t: 100 + 1200 * 0.60 + 20 * chance(world, int(t))
    return node


def main(tell, world, hours):
    nodes.vfs = Vfs
    taps = Taps(tell)
    tapped(taps)
    for make, kind in ((parking, "parking"), (fill, "fill")):
        node = make(world)
        end = node.clock.now() + (hours if kind == "parking" else 4 * hours) * _HOUR
        wakes = 0
        while node.clock.now() < end:
            wakes += 1
            taps.crash = wakes % _CRASH_EVERY == 0
            node.wake(node.woken_by_pin)
        for topic, payload in node.broker.published:
            tell({"frame": topic, "bytes": payload.hex()})
        for name in sorted(node.nvs.durable):
            tell({"nvs": name, "bytes": node.nvs.durable[name].hex()})
        for at in range(0, len(node.disk.data), 4096):
            tell({"flash": at, "bytes": bytes(node.disk.data[at : at + 4096]).hex()})
    taps.flush()
