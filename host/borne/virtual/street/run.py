"""Plays a street: boards are made into nodes, time runs, reports arrive."""

from __future__ import annotations

import queue
import secrets
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from borne import boards
from borne.boards import Board
from borne.broker import Broker
from borne.decoding.listen import Subscriber
from borne.errors import BrokerError, DeviceError, UserError
from borne.flashing import esptool, node
from borne.flashing.image import Region
from borne.fleet import lorawan
from borne.fleet.provision import Provisioned, check, provision
from borne.virtual import world
from borne.virtual.board import VirtualBoard
from borne.virtual.broker import EmbeddedBroker
from borne.virtual.clock import SimClock
from borne.virtual.street import network, nodes
from borne.virtual.street.events import Ended, Event, Passed, Progress, Ready, Reported
from borne.virtual.street.summary import Summary, Tally
from borne.virtual.wiring import Wiring
from borne.virtual.world import Asset, LampPost

# The boards of Wi-Fi and of LoRaWAN nodes.
BOARD = "esp32-devkitc"
RADIO_BOARD = "ttgo-lora32-v21"
MOST_DAYS = 366

_DAY_S = 86_400
_SLICE_S = 300
# esptool and mpremote mostly wait for their board, but each is a Python of its own to start.
_AT_ONCE = 2
_LOOK_UP_S = 0.1
# A message that the broker has acknowledged is milliseconds from its subscriber.
_HAND_ON_S = 10.0
# The broker always answers, on a busy computer a little later; simulated time must not pass because of that.
_PATIENCE_S = 10.0
# What the firmware prints when it opens its boot window of 3 s (borne_node/hardware.py), and seconds from
# power on into the midst of it.
_BOOTED = b"waiting 3 s for a host"
_BOOT_S = 3.0
# Seconds from the start until all nodes are in place: more than provisioning takes of simulated time.
_MOUNTED_S = 60.0
# The last line of the boot ROM and of the second-stage bootloader.
_LEFT_LOADER = b"entry 0x"
# The names of the steps that borne.fleet.provision tells.
_PROVISION_STEPS = ("connect", "secrets", "settings")

_T = TypeVar("_T")
_Tell = Callable[[str, float], None]


class _Stopped(Exception):
    """Somebody else ended the run: breaks off what a worker thread is doing."""


@dataclass(frozen=True)
class _Node:
    asset: Asset
    kind: Board
    board: VirtualBoard
    settings: dict[str, Any]
    secrets: dict[str, bytes]


@dataclass(frozen=True)
class _Street:
    """Everything that is the same for all nodes of a run."""

    seed: int
    assets: tuple[Asset, ...]
    kinds: Mapping[str, tuple[Board, Sequence[Region]]]
    broker: EmbeddedBroker
    network: network.Network | None
    clock: SimClock
    folder: Path


def play(
    seed: int = 7,
    days: float = 1.0,
    count: int = 3,
    *,
    link: str | None = None,
    folder: Path | None = None,
    image: Path | None = None,
) -> Generator[Event, None, None]:
    """Play `count` nodes (1 to 50) for so many days (up to 366) and tell what happens.

    `link`: "wifi" or "lorawan" for all, None as `links` has it. Flash files go into `folder` and stay there, or into
    a temporary one. Whatever ends it - its end, an error, the generator's close, Ctrl-C - leaves nothing running.
    What cannot be played is refused by this call itself: UserError, ImageError. DeviceError and its kind come while
    it plays.
    """
    _check(days, count, folder)
    assets = world.assets(seed, count)
    ways = links(assets, link)
    kinds = {way: boards.load(RADIO_BOARD if way == "lorawan" else BOARD) for way in set(ways.values())}
    made_of = {way: (kind, node.regions(kind, image)) for way, kind in kinds.items()}
    return _play(seed, days, assets, ways, folder, made_of)


def _play(
    seed: int,
    days: float,
    assets: tuple[Asset, ...],
    ways: Mapping[str, str],
    folder: Path | None,
    kinds: Mapping[str, tuple[Board, Sequence[Region]]],
) -> Generator[Event, None, None]:
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="borne-street-")))
        broker = stack.enter_context(EmbeddedBroker())
        clock = SimClock(world.START)
        radio = network.Network(seed, clock, stack) if "lorawan" in kinds else None
        street = _Street(seed, assets, kinds, broker, radio, clock, folder)
        subscriber = stack.enter_context(_subscriber(broker))
        made = [_node(street, asset, ways[asset.name], stack) for asset in assets]
        yield from _prepare(street, made)
        yield from _run(street, made, subscriber, world.START + round(days * _DAY_S))


def links(assets: Sequence[Asset], link: str | None = None) -> dict[str, str]:
    """How each asset reports, by its name: all by `link`, or all by LoRaWAN but the first lamp, which has mains power
    and takes Wi-Fi. By Wi-Fi alone where there is no network server (network.is_available). Raises UserError.
    """
    if link not in (None, "wifi", "lorawan"):
        raise UserError(f"link: {link!r} is unknown; there is: wifi, lorawan")
    if link == "lorawan" and not network.is_available():
        raise UserError("link: LoRaWAN needs pamoja-gateway, which has no wheel for this platform; use wifi")
    if link is not None or not network.is_available():
        return {asset.name: link or "wifi" for asset in assets}
    lamp = next((asset.name for asset in assets if isinstance(asset, LampPost)), None)
    return {asset.name: "wifi" if asset.name == lamp else "lorawan" for asset in assets}


def _check(days: float, count: int, folder: Path | None) -> None:
    if not 1 <= count <= world.MOST_ASSETS:
        raise UserError(f"nodes: {count} is not between 1 and {world.MOST_ASSETS}")
    if not 0 < days <= MOST_DAYS:
        raise UserError(f"days: {days:g} is not more than 0 and at most {MOST_DAYS}")
    try:
        # Boards of an earlier run would not be bare.
        if folder is not None and folder.exists() and any(folder.iterdir()):
            raise UserError(f"keep: the folder {folder} is not empty")
    except OSError as error:
        raise UserError(f"keep: {folder}: {error.strerror}") from None


def _subscriber(broker: EmbeddedBroker) -> Subscriber:
    password = secrets.token_urlsafe()
    broker.allow("street", password, everything=True)
    return Subscriber(Broker(broker.host, broker.port, user="street"), password)


def _node(street: _Street, asset: Asset, way: str, stack: ExitStack) -> _Node:
    """A bare board for an asset, with an account at the broker or the network server; nothing is powered yet."""
    kind = street.kinds[way][0]
    wiring = nodes.wiring(street.seed, asset, kind, world.START)
    points: dict[str, str] = {}
    if way == "lorawan":
        given, hidden, wiring = _by_radio(street, asset, kind, wiring)
    else:
        given, hidden = _by_wifi(street, asset, points)
    folder = street.folder / asset.name
    folder.mkdir(parents=True, exist_ok=True)
    board = VirtualBoard(
        folder,
        chip=kind.chip,
        flash_size=kind.flash_bytes,
        mac=nodes.mac(street.seed, asset),
        wiring=wiring,
        clock=street.clock,
        entropy_seed=nodes.number_of(street.seed, asset, "entropy"),
        access_points=points,
        patience=_PATIENCE_S,
    )
    return _Node(asset, kind, stack.enter_context(board), check(given, hidden)[0], hidden)


def _by_wifi(
    street: _Street, asset: Asset, points: dict[str, str]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Settings and secrets of a node that gets an account at the broker."""
    wifi, mqtt = secrets.token_urlsafe(), secrets.token_urlsafe()
    street.broker.allow(asset.name, mqtt)
    points[nodes.SSID] = wifi
    given = nodes.settings(asset, street.broker.host, street.broker.port)
    return given, {"wifi_password": wifi.encode(), "mqtt_password": mqtt.encode()}


def _by_radio(
    street: _Street, asset: Asset, kind: Board, wiring: Wiring
) -> tuple[dict[str, Any], dict[str, bytes], Wiring]:
    """Settings and secrets of a node that is registered at the network server, and its radio."""
    assert street.network is not None
    eui, key, chip = nodes.dev_eui(street.seed, asset), lorawan.new_app_key(), nodes.radio(kind)
    street.network.add(street.assets.index(asset), asset.name, chip, eui, key)
    return nodes.radio_settings(asset, eui), {"app_key": key}, nodes.with_radio(wiring, kind, chip)


def _prepare(street: _Street, made: Sequence[_Node]) -> Generator[Event, None, None]:
    """Make nodes of the boards with the tools that a maker would use; Ready comes in the order of the street."""
    flashed = yield from _each(made, lambda one, tell: _flash(street, one, tell))
    street.clock.run_for(_BOOT_S)
    for one in made:
        if _BOOTED not in one.board.printed:
            raise DeviceError(
                f"{one.asset.name}: was flashed and does not start; it says: {_last(one.board)!r}"
            )
    provisioned = yield from _each(made, _provision)
    # A board at its prompt is as far ahead of the clock as the host's tools kept it busy, which no two runs share.
    # So all are carried to their posts, and start there at one time.
    street.clock.run_until(world.START + _MOUNTED_S)
    for one in made:
        one.board.power_off()
        one.board.power_on()
    for one, image, done in zip(made, flashed, provisioned, strict=True):
        yield Ready(one.asset, image.chip, image.mac, image.bytes, done.firmware, done.digest[:8])


def _each(made: Sequence[_Node], work: Callable[[_Node, _Tell], _T]) -> Generator[Event, None, list[_T]]:
    """Do `work` for every node, some at once, passing on what it tells; gives the results in order.

    Where one fails or the generator is closed, the others are broken off.
    """
    told: queue.Queue[Progress] = queue.Queue()
    stop = threading.Event()

    def do(one: _Node) -> _T:
        def tell(step: str, fraction: float) -> None:
            if stop.is_set():
                raise _Stopped
            told.put(Progress(one.asset.name, step, fraction))

        tell("wait", 0.0)
        return work(one, tell)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="board") as pool:
        results = [pool.submit(do, one) for one in made]
        try:
            for result in results:
                yield from _watch(result, told)
            return [result.result() for result in results]
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _watch(result: Future[_T], told: queue.Queue[Progress]) -> Iterator[Event]:
    """What is told until one result is there. Raises what its work raised."""
    while not result.done() or not told.empty():
        with suppress(queue.Empty):
            yield told.get(timeout=_LOOK_UP_S)
    result.result()


def _flash(street: _Street, one: _Node, tell: _Tell) -> esptool.Flashed:
    one.board.power_on()
    kind, regions = street.kinds[one.settings["link"]]
    done = esptool.flash(one.board.port, kind, regions, progress=lambda fraction: tell("flash", fraction))
    # The board leaves its loader when it notices that esptool has hung up, and time must not pass before.
    one.board.wait_for(_LEFT_LOADER)
    one.board.power_on()
    return done


def _provision(one: _Node, tell: _Tell) -> Provisioned:
    given = {name: value for name, value in one.settings.items() if name != "slot"}
    steps = len(_PROVISION_STEPS)
    done = provision(
        one.board.port,
        given,
        one.secrets,
        lambda step: tell("provision", _PROVISION_STEPS.index(step) / steps),
        restart=False,
    )
    tell("provision", 1.0)
    return done


def _last(board: VirtualBoard) -> str:
    lines = board.printed.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _run(street: _Street, made: Sequence[_Node], subscriber: Subscriber, end: int) -> Iterator[Event]:
    tallies = {one.asset.name: Tally(one.asset, one.settings, world.START, end) for one in made}
    arrivals, radio = _Arrivals(street.broker, subscriber), street.network
    for until in [*range(world.START + _SLICE_S, end, _SLICE_S), end]:
        while street.clock.step(until * 1_000_000):
            news = [(heard, int(street.clock.now)) for heard in arrivals.new()]
            for heard, now in [*news, *(radio.arrived() if radio else ())]:
                tally = tallies[heard.name]
                tally.add(now, heard)
                yield Reported(tally.asset, now, heard, radio.radio(heard.name) if radio else None)
        street.clock.run_until(until)
        yield Passed(until)
    for one in made:
        one.board.power_off()
    lines = tuple(
        replace(tally.line(), radio=radio.radio(name) if radio else None) for name, tally in tallies.items()
    )
    broken = radio.broken if radio else ()
    yield Ended(Summary(street.seed, (end - world.START) / _DAY_S, lines, broken))


class _Arrivals:
    """What arrived since the last look. Waits for all that the broker has acknowledged: so each report has
    the time at which its node was awake, and the order does not depend on how fast this computer is.
    """

    def __init__(self, broker: EmbeddedBroker, subscriber: Subscriber) -> None:
        self._broker = broker
        self._subscriber = subscriber
        self._count = 0

    def new(self) -> Iterator[Any]:
        while self._count < self._broker.handed_on:
            heard = self._subscriber.next(_HAND_ON_S)
            if heard is None:
                raise BrokerError("the embedded broker acknowledged a report and did not hand it on")
            self._count += 1
            yield heard
