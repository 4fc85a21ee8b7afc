"""What answers on a serial port: a node, a bare MicroPython, a bootloader, or nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

from borne.errors import BorneError, NoAnswer, PortError, ReplError
from borne.flashing import esptool, ports
from borne.flashing.repl import Repl

Answer = Literal["borne", "micropython", "bootloader", "nothing", "closed"]

_PROBES_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Found:
    """One port and what answers on it.

    `answer` and its `detail`: "borne" (firmware version), "micropython" (its version), "bootloader" (chip;
    and `mac`), "nothing", or "closed" (why it does not open).
    """

    port: str
    description: str
    answer: Answer
    detail: str = ""
    mac: str = ""


def survey(given: list[str] | None = None) -> list[Found]:
    """Every listed port, or the given ones, with what answers. Interrupts and may reset what runs there."""
    described = dict.fromkeys(given, "") if given else ports.listed()
    with ThreadPoolExecutor(_PROBES_AT_ONCE) as pool:
        return list(pool.map(lambda port: probe(port, described[port]), described))


def probe(port: str, description: str = "") -> Found:
    """What answers on one port. A node that runs is interrupted and started again; a bootloader is asked last."""
    try:
        with Repl(port) as board:
            version = board.firmware()
            if version:
                board.reset()
                return Found(port, description, "borne", version["borne_node"])
            return Found(port, description, "micropython", board.implementation())
    except PortError as error:
        return Found(port, description, "closed", str(error))
    except (NoAnswer, ReplError):
        pass
    try:
        identity = esptool.identify(port)
    except BorneError as error:
        return Found(port, description, "closed", str(error))
    if identity:
        return Found(port, description, "bootloader", identity.chip, identity.mac)
    return Found(port, description, "nothing")
