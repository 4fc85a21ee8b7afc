"""The LoRaWAN stack: its bytes, its heap, its cryptography, its flash writes, its receive windows, and its peers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from borne.flashing import tree

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
WORLD = [TESTS / "fakes", HERE.parent / "host" / "borne" / "virtual"]
sys.path[:0] = [str(path) for path in WORLD]

import loramsg  # noqa: E402
from clock import FakeClock  # noqa: E402
from lorawan_node import joined  # noqa: E402
from lorawan_peers import PEERS, Peer, Unable  # noqa: E402
from lorawan_site import make_chip  # noqa: E402
from silicon.sx126x import SX126x as ChipOf1262  # noqa: E402
from silicon.sx127x import SX127x as ChipOf1276  # noqa: E402

from borne_node.chips.sx126x import SX126x  # noqa: E402
from borne_node.chips.sx127x import SX127x  # noqa: E402
from borne_node.link.lorawan.air import Air, window  # noqa: E402
from borne_node.link.lorawan.duty import DutyCycle  # noqa: E402
from borne_node.link.lorawan.frames import Data  # noqa: E402

# As tests/host/test_heap.py: live modules on 32-bit pointers over those on the 64-bit unix port.
RATIO = 73_568 / 105_984
ROUNDS = 3_000
DRIVERS = {"sx1276": "sx127x", "sx1262": "sx126x"}
HEAP = ("code as loaded", "objects of an open link", "code and objects at most, joining and sending")


def rows() -> list[dict[str, Any]]:
    return [*_bytes(), *_heap(), *_crypto(), *_flash(), *_windows(), *_agreed()]


def _row(
    name: str, value: float, unit: str, peer: str | None = None, peer_value: float | None = None
) -> dict[str, Any]:
    ratio = value / peer_value if peer_value else None
    return {
        "name": f"LoRaWAN: {name}",
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
    }


def _bytes() -> Iterator[dict[str, Any]]:
    files = {name: len(data) for name, data in tree.firmware_files().items()}
    for chip, driver in DRIVERS.items():
        size = sum(
            length
            for name, length in files.items()
            if name in (f"borne_node/chips/{driver}.mpy", "borne_node/chips/lora.mpy")
            or (
                "link/lorawan/" in name
                and ("regions/" not in name or name.endswith(("__init__.mpy", "eu868.mpy")))
            )
        )
        yield _row(f"radio ({chip}), MAC and EU868", size, "B of .mpy, aim 40,960")


def _micropython(*arguments: str) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in tree.firmware_files().items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        command = [str(Path(sys.executable).parent / "micropython"), "-X", "heapsize=4000000"]
        command += [str(HERE / "lorawan_stack_node.py"), *arguments, folder, *map(str, WORLD)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def _heap() -> Iterator[dict[str, Any]]:
    for chip in DRIVERS:
        for name, value in zip(HEAP, _micropython("heap", chip), strict=True):
            yield _row(f"heap, {chip}, {name}", int(value * RATIO), "B, as of 32-bit pointers")


def _crypto() -> Iterator[dict[str, Any]]:
    built, opened = _micropython("crypto", str(ROUNDS))
    network, application = bytes(range(16)), bytes(range(16, 32))
    fields = (0x40, 0x26011BDA, 0x80, 70_000, b"", 10, bytes(20), network, application)
    frame = loramsg.pack_dataframe(*fields)
    theirs = [
        _microseconds(lambda: loramsg.pack_dataframe(*fields)),
        _microseconds(lambda: loramsg.unpack_dataframe(frame, 70_000, network, application)),
    ]
    peer = "liblora on CPython"
    yield _row("encrypt and sign a 20-byte uplink, MicroPython unix", built, "us", peer, theirs[0])
    yield _row("verify and decrypt the same", opened, "us", peer, theirs[1])


def _microseconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(ROUNDS):
        do()
    return (time.perf_counter() - began) / ROUNDS * 1e6


def _flash() -> Iterator[dict[str, Any]]:
    here = joined(fair_use_s=0)
    before = here.nvs.commits
    for _ in range(1000):
        here.send()
        here.deep_sleep(900)
    yield _row("flash writes in 1,000 uplinks", here.nvs.commits - before, "commits of one record")


class _Measured:
    """A driver that notes when its chip begins to listen."""

    def __init__(self, driver: Any, chip: Any) -> None:
        self._driver, self._chip = driver, chip
        self.opened: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def start_receive(self, symbols: int) -> None:
        self._driver.start_receive(symbols)
        self.opened.append(self._chip._receiver.start_us)


def _windows() -> Iterator[dict[str, Any]]:
    for chip in DRIVERS:
        errors = [abs(error) for rate in range(6) for error in _opening_errors(chip, rate)]
        name = f"receive windows, {chip}: error of their opening, largest of {len(errors)}"
        yield _row(name, max(errors) / 1000, "ms of simulated time, 2 are allowed for")


def _opening_errors(name: str, rate: int) -> Iterator[float]:
    """Microseconds between when both windows should open, by the true end of the uplink, and when they did."""
    clock = FakeClock()
    chip: Any = ChipOf1276() if name == "sx1276" else ChipOf1262()
    euis = {"join_eui": "00" * 8, "dev_eui": "00" * 8}
    site, bus = make_chip(clock, clock.now(), euis, "EU868", chip)
    pins = (bus, bus.cs, bus.reset)
    driver: Any = SX127x(*pins, clock) if name == "sx1276" else SX126x(*pins, bus.busy, clock)
    radio = _Measured(driver, chip)
    site.hear = lambda *_: None
    chip.on_air = None
    plan = site.plan
    air = Air(plan, radio, clock, bytes, DutyCycle(plan.bands, clock), 0, 100)
    from borne_node.link.lorawan.channels import Channels

    ended = air.transmit(Channels(plan), 0, rate, bytes(33), 14, 0, lambda: None)
    places = ((plan.channels[0][0], rate), plan.rx2)
    air.windows(ended, 1000, *places, lambda packet, at: None)
    for place, ((_, window_rate), opened) in enumerate(zip(places, radio.opened, strict=True)):
        sf, bandwidth = plan.rate(window_rate)
        _, symbols = window(sf, bandwidth, 1000 * (1 + place), 100, driver.START_MS)
        symbol = (1 << sf) * 1_000_000 / bandwidth
        wanted = chip.sent[-1].end_us + 1_000_000 * (1 + place) + 4 * symbol - symbols * symbol / 2
        yield opened - wanted


def _agreed() -> Iterator[dict[str, Any]]:
    vectors = json.loads((TESTS / "vectors" / "lorawan.json").read_text())
    for name, make in PEERS.items():
        peer = make()
        asked = [answer for answer in _questions(peer, vectors) if answer is not None]
        peer.close()
        yield _row(
            f"vectors agreed with {name}", 100 * sum(asked) / len(asked), f"% of {len(asked)} it can do"
        )


def _questions(peer: Peer, vectors: dict[str, Any]) -> Iterator[bool | None]:
    """For every vector that our own tests hold: whether the peer says the same, None where it has no such operation."""
    for group in ("public", "generated"):
        for row in vectors[group]["join_request"]:
            said = (bytes.fromhex(row["join_eui"]), bytes.fromhex(row["dev_eui"]), row["dev_nonce"])
            yield peer.request(bytes.fromhex(row["app_key"]), bytes.fromhex(row["phy"])) == said
        for row in vectors[group]["join_accept"]:
            yield _able(lambda row=row: peer.accept(*_accept(row)) == bytes.fromhex(row["phy"]))
        for row in vectors[group]["data"]:
            yield from _of_data(peer, row)
    for row in vectors["negative"]:
        keys, count = _keys(row), row.get("fcnt", 0)
        yield _able(
            lambda keys=keys, row=row, count=count: peer.open(*keys, bytes.fromhex(row["phy"]), count) is None
        )


def _able(ask: Callable[[], bool]) -> bool | None:
    try:
        return ask()
    except Unable:
        return None


def _keys(row: dict[str, Any]) -> tuple[bytes, bytes]:
    return bytes.fromhex(row["nwk_skey"]), bytes.fromhex(row["app_skey"])


def _accept(row: dict[str, Any]) -> tuple[Any, ...]:
    numbers = row["app_nonce"], row["net_id"], int(row["dev_addr"], 16), row["dl_settings"], row["rx_delay"]
    return bytes.fromhex(row["app_key"]), *numbers, bytes.fromhex(row["cflist"] or "")


def _of_data(peer: Peer, row: dict[str, Any]) -> Iterator[bool | None]:
    if not row.get("nwk_skey") or not row.get("app_skey"):
        return
    down = row["dir"] == "down"
    bits = {"adr": 0x80, "adr_ack_req": 0 if down else 0x40, "ack": 0x20, "fpending": 0x10 if down else 0}
    control = sum(bit for name, bit in bits.items() if row.get(name))
    options, payload = bytes.fromhex(row["fopts"] or ""), bytes.fromhex(row["payload"] or "")
    data = Data(
        down, row["confirmed"], int(row["dev_addr"], 16), control, row["fcnt"], options, row["fport"], payload
    )
    phy = bytes.fromhex(row["phy"])
    yield _able(lambda: peer.build(*_keys(row), data) == phy)
    yield _able(lambda: peer.open(*_keys(row), phy, row["fcnt"]) == data)
