"""The sensor of each kind of node, from the chips that its settings name. Only what the kind needs is loaded."""

from borne_node import sensors

# What is read in which way: kind, what its sensor is, the module here.
_READERS = (
    ("parking", "magnetometer", "parking"),
    ("parking", "ranger", "overhead"),
    ("light", "light", "light"),
    ("fill", "ranger", "fill"),
)


def build(settings, board, state=None):
    """The sensor for `settings["kind"]`: an object with `read(now)`, `state()` and `faults`.

    `board` has `clock`, `i2c()`, `uart(baudrate)`, `pulse()`, `presence_pin()`, `temperature()`, `nvs` and
    `woken_by_pin`; `state` is what `state()` gave before the deep sleep. Touches no chip, so it raises no
    SensorFault; SettingsError when the settings ask for what the chip cannot do.
    """
    kind, role = settings["kind"], sensors.row(chosen(settings))[1]
    for one in _READERS:
        if one[:2] == (kind, role):
            return load("sense." + one[2]).build(settings, board, state)
    raise KeyError("%s by %s" % (kind, role))


def chosen(settings, setting="sensor"):
    """The name of the sensor in a setting; settings of an earlier version have the default."""
    return settings.get(setting) or sensors.choices(settings["kind"], setting)[0]


def opener(settings, board, setting="sensor"):
    """A callable that opens the chip in a setting on its bus (a given one, or the board's) and identifies it.

    It raises SensorFault.
    """
    name = chosen(settings, setting)
    chip = sensors.row(name)[2]

    def open(given=None):
        driver = getattr(load("chips." + name), chip)
        return driver(bus_of(name, board, driver) if given is None else given, board.clock)

    return open


def bus_of(name, board, driver):
    """The board's bus for a sensor of the table, whose driver is given."""
    bus = sensors.row(name)[3]
    return board.uart(driver.baudrate) if bus == sensors.UART else getattr(board, bus)()


def settled(sensor, clock):
    """The sensor's pin that may wake the node by going high, once low; None: there is none, or it stays high."""
    pin = getattr(sensor, "wake_pin", None)
    if pin is None:
        return None
    from borne_node.chips.pulses import settle

    return pin if settle(pin, clock) else None


def load(name):
    """A module of the node, by its name within it."""
    return __import__("borne_node." + name, None, None, ("",))
