"""A chip of registers on an I2C bus, whose silence is a SensorFault that names it."""

from borne_node.errors import SensorFault


class Registers:
    """`i2c` has the methods of machine.I2C; `name` is what a fault says."""

    def __init__(self, i2c, address, name):
        self._i2c = i2c
        self._address = address
        self._name = name

    def read(self, register, buf):
        """Fill `buf` from `register` on. Raises SensorFault "no answer"."""
        try:
            self._i2c.readfrom_mem_into(self._address, register, buf)
        except OSError:
            raise SensorFault(self._name, "no answer")

    def write(self, register, buf):
        """Raises SensorFault "no answer"."""
        try:
            self._i2c.writeto_mem(self._address, register, buf)
        except OSError:
            raise SensorFault(self._name, "no answer")
