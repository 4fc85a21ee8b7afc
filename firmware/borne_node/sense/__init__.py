"""The sensor of each kind of node: one table. Only what the kind needs is loaded."""


def build(settings, board, state=None):
    """The sensor for `settings["kind"]`: an object with `read(now)`, `state()` and `faults`.

    `board` has `clock`, `i2c()`, `uart(baudrate)`, `presence_pin()`, `temperature()` and `woken_by_pin`;
    `state` is what `state()` gave before the deep sleep. Touches no chip, so it raises no SensorFault;
    SettingsError when the settings ask for what the chip cannot do.
    """
    return _BUILDERS[settings["kind"]](settings, board, state)


def settled(sensor, clock):
    """The sensor's pin that may wake the node by going high, once low; None: there is none, or it stays high."""
    pin = getattr(sensor, "wake_pin", None)
    if pin is None:
        return None
    from borne_node.chips.pulses import settle

    return pin if settle(pin, clock) else None


def _parking(settings, board, state):
    from borne_node.sense.parking import build

    return build(settings, board, state)


def _light(settings, board, state):
    from borne_node.sense.light import build

    return build(settings, board, state)


def _fill(settings, board, state):
    from borne_node.sense.fill import build

    return build(settings, board, state)


_BUILDERS = {"parking": _parking, "light": _light, "fill": _fill}
