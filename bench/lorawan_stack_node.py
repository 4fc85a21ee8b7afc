"""Runs on MicroPython, once a figure, and prints numbers: heap of radio and MAC, or seconds of their cryptography.

micropython lorawan_stack_node.py heap CHIP PATH...    live bytes: see `life`
micropython lorawan_stack_node.py crypto ROUNDS PATH...  microseconds: build a 20-byte uplink; verify and decrypt one
"""

import gc
import sys

what, argument = sys.argv[1:3]
sys.path[:] = sys.argv[3:] + [".frozen"]

IDENTITY = {"join_eui": "70b3d57ed0000001", "dev_eui": "70b3d57ed0123456"}


def live():
    gc.collect()
    return gc.mem_alloc()


def forget():
    for name in list(sys.modules):
        if name.startswith("borne_node"):
            del sys.modules[name]


def heap(chip):
    # Once before, so that the world holds what it will, and the interpreter the names that it never lets go of.
    life(chip)
    print(*life(chip))


def life(chip):
    """Bytes of the code as loaded; of the objects that a sleeping link holds; of all at most, while at work."""
    import lorawan_site
    from clock import FakeClock
    from cryptolib import aes
    from store import FakeStore

    class Clock(FakeClock):
        most = 0

        def sleep_ms(self, duration):
            Clock.most = max(Clock.most, live())
            super().sleep_ms(duration)

    if chip == "sx1276":
        from silicon.sx127x import SX127x as Chip
    else:
        from silicon.sx126x import SX126x as Chip
    clock = Clock()
    site, bus = lorawan_site.make_chip(clock, clock.now(), IDENTITY, "EU868", Chip())
    store, rtc = FakeStore(), FakeStore()
    site.euis = bytes(16)
    bus.keep = 0
    # A command, and settings of the network's.
    site.answers = [{"port": 5, "payload": b"command", "options": b"\x03\x51\x07\x00\x01\x06"}, None]
    forget()
    world = live()
    from borne_node.link.lorawan.link import LoraWanLink

    if chip == "sx1276":
        from borne_node.chips.sx127x import SX127x

        def radio():
            return SX127x(bus, bus.cs, bus.reset, clock)
    else:
        from borne_node.chips.sx126x import SX126x

        def radio():
            return SX126x(bus, bus.cs, bus.reset, bus.busy, clock)

    code = live() - world
    identity = {"join_eui": bytes(8), "dev_eui": bytes(8), "app_key": lorawan_site.APP_KEY}
    link = LoraWanLink(radio, identity, "EU868", clock, lambda n: bytes(n), aes, store, rtc)
    link.open()
    got = link.send(10, b"x" * 20)
    link.send(10, b"x" * 20)
    held = live() - world - code
    link.close()
    if not got or len(site.received) != 2:
        raise SystemExit("no exchange")
    return code, held, Clock.most - world


def crypto(rounds):
    import time

    from cryptolib import aes

    from borne_node.link.lorawan import frames
    from borne_node.link.lorawan.crypto import Key

    network, application = Key(aes, bytes(range(16))), Key(aes, bytes(range(16, 32)))
    data = frames.Data(False, False, 0x26011BDA, 0x80, 70_000, b"", 10, bytes(20))
    began = time.ticks_us()
    for _ in range(rounds):
        frame = frames.build(network, application, data)
    built = time.ticks_diff(time.ticks_us(), began)
    began = time.ticks_us()
    for _ in range(rounds):
        opened = frames.open_data(network, application, frame, 70_000)
    if opened is None or opened.payload != bytes(20):
        raise SystemExit("a frame that does not open")
    print(built / rounds, time.ticks_diff(time.ticks_us(), began) / rounds)


if what == "heap":
    heap(argument)
else:
    crypto(int(argument))
