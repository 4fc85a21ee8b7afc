"""Every error of the node, one tree.

NodeError
├── SettingsError      a setting is missing or malformed; names the field
├── SensorFault        a sensor gave no trustworthy value; names the sensor and the reason
├── LinkDown           the network cannot be reached now; try later
│   ├── LinkRefused    the network answered and said no; trying again soon will not help
│   ├── NotBefore      law, fair use or a back-off says from when on (link/lorawan/air.py)
│   └── RadioFault     the radio chip does not answer as it should, and was reset (chips/lora.py)
├── PayloadTooLong     the report does not fit what the link can carry now
└── StorageError       a record could not be written or read back
"""


class NodeError(Exception):
    pass


class SettingsError(NodeError):
    """A setting is missing or malformed. `field` is its name, `reason` what is wrong and what is expected."""

    def __init__(self, field, reason):
        super().__init__("%s: %s" % (field, reason))
        self.field = field
        self.reason = reason


class SensorFault(NodeError):
    """A sensor gave no trustworthy value.

    `name` is the chip, `reason` one of the REASONS below: the report's fault codes are their positions.
    """

    REASONS = ("no answer", "bad checksum", "out of range", "stuck", "not calibrated", "wrong chip")

    def __init__(self, name, reason):
        super().__init__("%s: %s" % (name, reason))
        self.name = name
        self.reason = reason


class LinkDown(NodeError):
    """`when`: the unix second before which trying again is forbidden, None where nothing forbids it."""

    when = None


class LinkRefused(LinkDown):
    pass


class PayloadTooLong(NodeError):
    pass


class StorageError(NodeError):
    pass
