"""One sensor on the bench: what `borne sensor-test` runs at the prompt. Nothing of it leaves by the network."""

from borne_node import sensors
from borne_node.errors import SensorFault
from borne_node.sense import bus_of, load


class Probe:
    """`read()` gives [(what, value, unit)]; the chip is opened anew each time, so that a loose wire heals."""

    def __init__(self, name, board, bay=None):
        _, self._role, chip, _, _, _ = sensors.row(name)
        self._chip, self._name, self._board = getattr(load("chips." + name), chip), name, board
        self._bus = bus_of(name, board, self._chip)
        if bay is not None:
            self._bus = load("chips.tca9548a").TCA9548A(self._bus).channel(bay)

    def read(self):
        """Raises SensorFault."""
        return _READ[self._role](self._chip(self._bus, self._board.clock))

    def say(self):
        """Print one line: values, or the fault."""
        try:
            print(";".join("%s=%s %s" % one for one in self.read()))
        except SensorFault as fault:
            print("!%s" % fault.reason)


def _ranger(chip):
    chip.start()
    try:
        return [("distance", chip.ping(), "mm")]
    finally:
        chip.stop()


def _magnetometer(chip):
    sample = [0, 0, 0]
    chip.start()
    try:
        chip.next(sample)
    finally:
        chip.standby()
    strength = int(sum(one / 1000 * one / 1000 for one in sample) ** 0.5 * 1000)
    return _axes(sample, "nT") + [("strength", strength, "nT")]


def _light(chip):
    return [("light", "%.2f" % chip.read(), "lx")]


def _presence(chip):
    moving, still = chip.read()
    return [("moving", moving or 0, "mm"), ("still", still or 0, "mm")]


def _meter(chip):
    millivolts, milliamperes, milliwatts = chip.read()
    return [("voltage", millivolts, "mV"), ("current", milliamperes, "mA"), ("power", milliwatts, "mW")]


def _accelerometer(chip):
    sample = [0, 0, 0]
    chip.read(sample)
    return _axes(sample, "mg")


def _axes(sample, unit):
    return [("xyz"[axis], sample[axis], unit) for axis in range(3)]


_READ = {
    "ranger": _ranger,
    "magnetometer": _magnetometer,
    "light": _light,
    "presence": _presence,
    "meter": _meter,
    "accelerometer": _accelerometer,
}
