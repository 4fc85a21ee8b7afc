"""TI TCA9548A, eight-channel I2C switch (datasheet SCPS207)."""

from borne_node.compat import const
from borne_node.errors import SensorFault

NAME = "TCA9548A"

_ADDRESS = const(0x70)  # table 1, A2 to A0 low
_CHANNELS = const(8)


class TCA9548A:
    """`channel(n)` is an I2C bus of its own to the driver of the chip behind it.

    The switch has no identity register: the constructor closes all channels and reads that back.
    Raises SensorFault "no answer" or "wrong chip".
    """

    def __init__(self, i2c, address=_ADDRESS):
        self.i2c = i2c
        self._address = address
        self._byte = bytearray(1)
        self._control = None
        if not self._set(0):
            raise SensorFault(NAME, "wrong chip")

    def channel(self, number):
        if not 0 <= number < _CHANNELS:
            raise ValueError("channel %d of a TCA9548A" % number)
        return Channel(self, number)

    def select(self, number):
        """Connect one channel and no other. Raises SensorFault."""
        if self._control == 1 << number:
            return
        # A switch that does not switch would give one bay's field as another's.
        if not self._set(1 << number):
            raise SensorFault(NAME, "stuck")

    def forget(self):
        """After a failed transfer: the switch may have been reset, so the next select writes again."""
        self._control = None

    def _set(self, control):
        self._control = None
        try:
            # Section 8.5.4: one byte, no register number; it acts after the stop condition.
            self._byte[0] = control
            self.i2c.writeto(self._address, self._byte)
            self.i2c.readfrom_into(self._address, self._byte)
        except OSError:
            raise SensorFault(NAME, "no answer")
        if self._byte[0] != control:
            return False
        self._control = control
        return True


class Channel:
    """The methods of machine.I2C on one channel. Raises OSError as a bus does, SensorFault for the switch."""

    def __init__(self, switch, number):
        self._switch = switch
        self._number = number

    def readfrom_mem_into(self, address, register, buf):
        self._do(self._switch.i2c.readfrom_mem_into, address, register, buf)

    def writeto_mem(self, address, register, buf):
        self._do(self._switch.i2c.writeto_mem, address, register, buf)

    def readfrom_into(self, address, buf):
        self._do(self._switch.i2c.readfrom_into, address, buf)

    def writeto(self, address, buf):
        return self._do(self._switch.i2c.writeto, address, buf)

    def _do(self, operation, *arguments):
        self._switch.select(self._number)
        try:
            return operation(*arguments)
        except OSError:
            self._switch.forget()
            raise
