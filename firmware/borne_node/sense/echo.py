"""One distance out of several pings.

The rule: of the good pings, those within 150 mm of each other are one echo. The echo that most pings agree on is the
surface, and it takes three of seven; of two with as many, the farther one. What lies on the way to the surface (a
drop on the sensor, a rib, the wall) answers now and then and nearer; a slanted heap answers now here, now there, but
mostly within two hands; twice there and back is farther, and seldom. What answers from above the full line is believed
only if fewer than two pings agree on something behind it: a heap up there would hide all else, a drop does not. The
distance is the median of that echo's pings.
"""

from borne_node.compat import const
from borne_node.errors import SensorFault

PINGS = const(7)
_AGREE = const(3)
_BEHIND = const(2)
_WIDTH_MM = const(150)


def distance(ranger, farthest_mm, full_mm=0):
    """Millimetres of the surface. Raises SensorFault: too few pings were good, or too few agree.

    A ping beyond `farthest_mm`, where nothing can be, is none. `full_mm`: where the full line is.
    """
    good = []
    worst = None
    ranger.start()
    try:
        for n in range(PINGS):
            try:
                found = ranger.ping()
            except SensorFault as fault:
                # Of mixed failures the one that comes first among the reasons says most about the sensor.
                if worst is None or _rank(fault) < _rank(worst):
                    worst = fault
                # A silent sensor is silent for good: no need to wait out pings that cannot help any more.
                if n - len(good) >= PINGS - _AGREE:
                    break
                continue
            good.append(found)
    finally:
        ranger.stop()
    inside = sorted([one for one in good if one <= farthest_mm])
    below = [one for one in inside if one >= full_mm]
    echo = _echo(below)
    if len(below) == len(inside) or len(echo) < _BEHIND:
        echo = _echo(inside)
        if len(echo) < _AGREE:
            echo = ()
    if echo:
        return echo[len(echo) // 2]
    raise worst if worst and len(good) < _AGREE else SensorFault(ranger.name, "out of range")


def _echo(pings):
    """The longest run of sorted pings within the width, of several the farthest."""
    best = ()
    for at in range(len(pings)):
        run = [one for one in pings[at:] if one - pings[at] <= _WIDTH_MM]
        if len(run) >= len(best):
            best = run
    return best


def _rank(fault):
    return SensorFault.REASONS.index(fault.reason)


def in_air(distance_mm, assumed, celsius):
    """Millimetres by sound, corrected for the warmth of the air; `assumed`: by which the ranger reckons, or None.

    331.3 + 0.606 T m/s (the linear form about 0 degrees), in tenths of a per mille.
    """
    if assumed is None or celsius is None:
        return distance_mm
    return distance_mm * (331300 + 606 * celsius) // (331300 + 606 * assumed)
