"""One wake of a node's outbox and link, as a program for both interpreters: mqtt_node.py FIRMWARE FAKES

Standard input, JSON: settings, secrets (name -> hex), folder, put [[port, hex]], speed of the clock. Prints
one JSON object: downlinks [[port, hex]], error [type, text] or null, waiting, dropped.
"""

import json
import sys
import time


def main(*path):
    sys.path[:0] = path
    from wlan import FakeWlan

    from borne_node.errors import LinkDown
    from borne_node.link.wifi import WifiLink
    from borne_node.outbox import Outbox

    task = json.loads(sys.stdin.read())
    clock = RealClock(task["speed"])
    outbox = Outbox(task["folder"], 16)
    for port, payload in task["put"]:
        outbox.put(port, bytes.fromhex(payload))
    secrets = {name: bytes.fromhex(value) for name, value in task["secrets"].items()}
    link = WifiLink(FakeWlan(clock, {"street": ""}), task["settings"], secrets, clock, *modules())
    downlinks, error = [], None
    try:
        link.open()
        for slot, port, payload in outbox:
            downlink = link.send(port, payload)
            outbox.delivered(slot)
            if downlink:
                downlinks.append((downlink[0], downlink[1].hex()))
    except LinkDown as down:
        error = (type(down).__name__, str(down))
    link.close()
    found = {"downlinks": downlinks, "error": error, "waiting": len(outbox), "dropped": outbox.dropped}
    print(json.dumps(found))


def modules():
    if sys.implementation.name == "micropython":
        return ()
    import cpython_net

    return cpython_net.socket, cpython_net.select, cpython_net.ssl


class RealClock:
    """Real time, `speed` times as fast; its sleep is the access point's delay only, and takes none."""

    is_set = True

    def __init__(self, speed):
        self.speed = speed
        self.slept_ms = 0

    def now(self):
        return int(time.time())

    def ticks_ms(self):
        seconds = time.ticks_ms() / 1000 if hasattr(time, "ticks_ms") else time.monotonic()
        return int(seconds * 1000 * self.speed) & ((1 << 30) - 1)

    def sleep_ms(self, duration):
        self.slept_ms += duration


main(*sys.argv[1:])
