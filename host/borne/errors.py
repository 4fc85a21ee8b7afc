"""Every error of the host tools, one tree; the command line prints them in one line and exits with `exit_code`.

BorneError
├── UserError           exit 2: what was asked cannot be done as asked
│   ├── BoardError      a board file is unknown, malformed, or clashes with itself
│   ├── SettingError    a node setting is missing or malformed
│   ├── ImageError      a firmware image is truncated, foreign, or for another chip
│   ├── PortError       a port does not exist, is busy, or is not permitted
│   ├── ListError       a list of assets cannot be read, or rows of it are refused
│   ├── RegistryError   the registry is not there, not ours, or says otherwise
│   ├── VaultError      the vault is locked, damaged, or not there
│   ├── EnvelopeError   a line of a stream is no message of a network that is known
│   └── DecodeError     bytes are no report
└── DeviceError         exit 1: the device or the network failed
    ├── NoAnswer        nothing answers where a board was expected
    ├── FlashError      writing or verifying the flash failed
    ├── ReplError       the board's REPL refused or broke off
    ├── ReadBackError   what was read back differs from what was written
    └── BrokerError     the MQTT broker cannot be reached or refuses
"""

from __future__ import annotations


class BorneError(Exception):
    """What is wrong, where, and what to do, in one line."""

    exit_code = 1


class UserError(BorneError):
    exit_code = 2


class BoardError(UserError):
    pass


class SettingError(UserError):
    pass


class ImageError(UserError):
    pass


class PortError(UserError):
    pass


class ListError(UserError):
    pass


class RegistryError(UserError):
    pass


class VaultError(UserError):
    pass


class EnvelopeError(UserError):
    pass


class DecodeError(UserError):
    """Bytes that are no report of this version.

    `port` is the fPort, `byte` and `bit` the first position at fault (bit 7 is the most significant), where known.
    """

    def __init__(self, reason: str, *, port: int, byte: int | None = None, bit: int | None = None) -> None:
        where = f"port {port}"
        if byte is not None:
            where += f", byte {byte}"
        if bit is not None:
            where += f", bit {bit}"
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.port = port
        self.byte = byte
        self.bit = bit


class DeviceError(BorneError):
    exit_code = 1


class NoAnswer(DeviceError):
    pass


class FlashError(DeviceError):
    pass


class ReplError(DeviceError):
    pass


class ReadBackError(DeviceError):
    pass


class BrokerError(DeviceError):
    pass
