"""Every sensor that a node can have, one row each: for the settings, for sense/ and for the tests.

A row's name is also the name of its driver in chips/, of its simulated chip and of its test file
(tests/host/test_sensor_table.py says what a row is missing). Of the sensors that fit a setting, the first is the
default.
"""

I2C, UART, PULSE = "i2c", "uart", "pulse"

# Name, what it is, class of the driver, its bus; of a ranger the nearest and the farthest that it sees, in mm.
TABLE = (
    ("qmc5883l", "magnetometer", "QMC5883L", I2C, 0, 0),
    ("mmc5603", "magnetometer", "MMC5603", I2C, 0, 0),
    ("a02yyuw", "ranger", "A02YYUW", UART, 30, 4500),
    ("hc_sr04", "ranger", "HCSR04", PULSE, 20, 4000),
    ("jsn_sr04t", "ranger", "JSNSR04T", PULSE, 200, 4500),
    ("mb7389", "ranger", "MB7389", UART, 300, 4999),
    ("vl53l1x", "ranger", "VL53L1X", I2C, 40, 3600),
    ("veml7700", "light", "VEML7700", I2C, 0, 0),
    ("bh1750", "light", "BH1750", I2C, 0, 0),
    ("ld2410", "presence", "LD2410", UART, 0, 0),
    ("ina226", "meter", "INA226", I2C, 0, 0),
    ("pzem004t", "meter", "PZEM004T", UART, 0, 0),
    ("lis3dh", "accelerometer", "LIS3DH", I2C, 0, 0),
)

# Which settings of a kind name a sensor, what may stand there, and what does that is no chip.
SLOTS = {
    "parking": (("sensor", ("magnetometer", "ranger"), ()),),
    # A PIR is no more than its pin.
    "light": (
        ("sensor", ("light",), ()),
        ("presence", ("presence",), ("pir",)),
        ("lamp", ("meter",), ("none",)),
    ),
    "fill": (("sensor", ("ranger",), ()), ("tilt", ("accelerometer",), ("none",))),
}


def row(name):
    """Raises KeyError for a sensor that nobody knows."""
    for one in TABLE:
        if one[0] == name:
            return one
    raise KeyError(name)


def choices(kind, setting="sensor"):
    """The names that may stand in a setting of a kind of node, the default first; none: it has no such setting."""
    for slot, roles, others in SLOTS[kind]:
        if slot == setting:
            return others + tuple(one[0] for role in roles for one in TABLE if one[1] == role)
    return ()
