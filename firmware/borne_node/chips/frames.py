"""What the chips that talk over a UART have in common."""

from borne_node.compat import const

# machine.UART keeps 256 bytes unless told otherwise; more than that was sent while we threw it away.
_BUFFERED = const(512)


def drain(uart, byte):
    """Throw away what was received before now; `byte` is a bytearray(1) to do it with."""
    for _ in range(_BUFFERED):
        if not uart.any():
            break
        uart.readinto(byte)
