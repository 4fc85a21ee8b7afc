"""What node and network agreed on, and its records: what must never be lost lies in NVS, what may be in RTC memory.

lw_nonce    NVS, before every join request: the next DevNonce, and whose it is (join.py)
lw_session  NVS, on a join and when the network changes a setting: keys, address, channels, receive windows
lw_count    NVS, once in 64 uplinks: FCntUp up to which all may have been used; FCntDown
lorawan     RTC, before every uplink: the exact counters, the answers owed, the back-offs, the airtime account

Each commit writes one record, so that a power cut leaves the state before or the state after it.
"""

import binascii
import struct

from borne_node.compat import const
from borne_node.link.lorawan.channels import Channels

_VERSION = const(1)
_LAYOUT = "<BIIIBBBBBBIBBB16s16s"
_SIZE = const(58)  # of _LAYOUT
_COUNTS = "<III"
SESSION = "lw_session"
COUNTS = "lw_count"
VOLATILE = "lorawan"

_LAST_COUNT = const(0xFFFFFFFF)
BLOCK = const(64)  # FCntUp are reserved by as many, so that flash is written once in as many uplinks


class Session:
    """`address` is None until there is a session. `owner` ties the record to identity, root key and region.

    `changed`: a setting is not on flash yet that RTC memory does not hold.
    """

    def __init__(self, plan, store, owner, rate):
        self.plan = plan
        self.store = store
        self.owner = owner
        self._rate = rate
        self.channels = Channels(plan)
        self.address = None
        self.join_nonce = -1
        self.changed = False
        self.reset()

    def reset(self):
        """Everything that a join puts back to the region's defaults."""
        self.channels.reset()
        self.rate = self._rate
        self.power = 0
        self.transmissions = 1
        self.rx1_offset = 0
        self.rx2_hz, self.rx2_rate = self.plan.rx2
        self.rx_delay = 1
        self.aggregate = 0
        self.eirp = self.plan.max_eirp
        self.up_dwell = self.plan.dwell
        self.down_dwell = False
        self.up = 0
        self.reserved = 0
        self.down = None

    def start(self, address, network, application):
        """A new session with its counters at zero; nothing is on flash before `save`."""
        self.address = address
        self.keys = bytes(network) + bytes(application)
        self.tag = binascii.crc32(self.keys + struct.pack("<I", address)) & 0xFFFFFFFF

    def save(self):
        dwell = self.up_dwell | self.down_dwell << 1
        raw = struct.pack(
            _LAYOUT,
            _VERSION,
            self.owner,
            self.address,
            self.join_nonce & 0xFFFFFFFF,
            self.rate,
            self.power,
            self.transmissions,
            self.rx1_offset,
            self.rx2_rate,
            self.rx_delay,
            self.rx2_hz,
            self.aggregate,
            self.eirp,
            dwell,
            self.keys[:16],
            self.keys[16:],
        )
        raw += self.channels.pack()
        self.store.write(SESSION, raw + struct.pack("<I", binascii.crc32(raw) & 0xFFFFFFFF))
        self.store.commit()

    def load(self):
        """Whether the store holds a session of this owner; its counters stand at what may have been used."""
        raw = self.store.read(SESSION)
        if not raw or len(raw) < _SIZE + 13 or raw[0] != _VERSION:
            return False
        if struct.unpack("<I", raw[-4:])[0] != binascii.crc32(raw[:-4]) & 0xFFFFFFFF:
            return False
        fields = struct.unpack(_LAYOUT, raw[:_SIZE])
        if fields[1] != self.owner:
            return False
        self.start(fields[2], fields[14], fields[15])
        self.join_nonce = fields[3] if fields[3] != 0xFFFFFFFF else -1
        self.rate, self.power, self.transmissions, self.rx1_offset, self.rx2_rate, self.rx_delay = fields[
            4:10
        ]
        self.rx2_hz, self.aggregate, self.eirp = fields[10:13]
        self.up_dwell, self.down_dwell = bool(fields[13] & 1), bool(fields[13] & 2)
        self.channels.unpack(raw[_SIZE:-4])
        self.load_counts()
        if self.up >= _LAST_COUNT:
            self.address = None
        return self.address is not None

    def load_counts(self):
        """Take up the counters of this session: at the end of the block that was reserved."""
        raw = self.store.read(COUNTS)
        self.up = self.reserved = 0
        self.down = None
        if raw:
            tag, reserved, down = struct.unpack(_COUNTS, raw)
            if tag == self.tag:
                self.up = self.reserved = reserved
                self.down = down - 1 if down else None

    def save_counts(self, reserved):
        """Reserve FCntUp below `reserved`, and remember FCntDown."""
        down = 0 if self.down is None else self.down + 1
        self.store.write(COUNTS, struct.pack(_COUNTS, self.tag, reserved, down & 0xFFFFFFFF))
        self.store.commit()
        self.reserved = reserved

    def take_count(self):
        """The next FCntUp, reserved on flash before it is given out; None at the end of all 32 bits."""
        if self.up >= _LAST_COUNT:
            return None
        if self.up >= self.reserved:
            self.save_counts(min(self.up + BLOCK, _LAST_COUNT))
        self.up += 1
        return self.up - 1
