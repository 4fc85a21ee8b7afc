"""What an attacker hears of the generator: the jitter of frame after frame; and what is left with broken sources."""

from gated import MIDNIGHT, Entropy, Light, Street, cars

from borne_node.report.schema import SUPPRESSED

BROKEN = {
    "zero": lambda size: bytes(size),
    "constant": lambda size: b"\xa5" * size,
    "counter": lambda size: bytes(n & 255 for n in range(size)),
    "period": lambda size: (b"\x13\x9a\x02\xfe\x77\x31\xc8\x0d" * (size // 8 + 1))[:size],
    "two values": lambda size: bytes(n >> 3 & 1 for n in range(size)),
}


def main(tell, seed, windows):
    tell({"jitter": jitter(seed, windows), "broken": {name: broken(BROKEN[name]) for name in BROKEN}})


def jitter(seed, windows):
    street = Street("parking", "zone", cars(0, 0, 0, 0), bays=4)
    street.entropy.broken = lambda size: (seed.to_bytes(4, "little") + Entropy(seed)(size))[:size]
    street.until(MIDNIGHT + (windows + 3) * 900)
    # The first windows had nothing drawn yet.
    return [time % 900 for time, _ in street.sent[3:]]


def broken(source):
    """The values that left in a day with the source broken from the first boot on, in numbers."""
    told = 0
    for street in (
        Street("parking", "zone", cars(1, 1, 0, 0), bays=4),
        Street("light", "light", lambda now: Light(7, 40, None, None, None)),
    ):
        street.entropy.broken = source
        for reboot in range(3):
            # Every boot draws anew: a source that starts over is known by then.
            for one in street.until(MIDNIGHT + (reboot + 1) * 8 * 3600):
                told += one.values[0] is not SUPPRESSED and one.values[0] is not None
            street.power_off(60)
    return told
