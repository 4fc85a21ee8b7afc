"""A board becomes the node of an asset: reserved, keyed, flashed, told, read back, recorded; from anywhere, again.

The order is what makes it safe to break off at any point. The board is reserved in the registry before anything is
written to it; its key lies in the vault, and the registry names that record, before the node has it; the node takes
settings and secrets at once or not at all; what it then holds is recorded last. Whoever starts again finds out by
asking the board, writes what is missing, and nothing where nothing is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sqlalchemy as sql

from borne import boards
from borne.boards import Board
from borne.errors import BorneError, RegistryError, SettingError
from borne.flashing import flasher, selftest
from borne.flashing.chip import BAUD
from borne.flashing.repl import Repl
from borne.flashing.selftest import Check
from borne.fleet import credentials, issuing, provision, wanted
from borne.fleet import seen as of_board
from borne.fleet.registry import nodes, pending, sites
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.sites import Site
from borne.fleet.registry.store import Registry, Stamp
from borne.fleet.seen import Seen
from borne.fleet.vault import Vault
from borne.fleet.vault.vault import PRINT_NONCE
from borne.fleet.wanted import Wanted
from borne_node import __version__ as FIRMWARE_VERSION
from borne_node.privacy import policy

# What a board takes from reset to its prompt, eight at once on a slow hub, and as long again.
_BOOT_SECONDS: Final = 5.0

# The firmware carries no annotations.
_policy_digest: Callable[[], bytes] = policy.digest

Tell = Callable[[str, float], None]
# Which asset a board with this MAC is for, decided in the transaction that reserves it.
Choose = Callable[[sql.Connection, str], Standing]


@dataclass(frozen=True)
class Bench:
    """What provisioning has at hand. `secrets` by the names of borne_node.secrets, what the technician gave.

    `take`: boards that are a node of another list may become ours. `board`: what boards are that no list names.
    `self_test`: ask the parts of a node that was provisioned, which takes seconds.
    """

    registry: Registry
    vault: Vault
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    stamp: Callable[[], Stamp] = Stamp
    board: str | None = None
    image: Path | None = None
    baud: int = BAUD
    take: bool = False
    self_test: bool = True


@dataclass(frozen=True)
class Done:
    """`outcome`: "provisioned"; "recorded", when it had been and the registry did not know; or "already so".

    `key`: "new", "kept", or "none" where it has none of its own. `digest`: SHA-256 of the settings file, hex.
    `checks`: of its self-test, which a node that is already so repeats only where it failed the last.
    """

    port: str
    asset: str
    mac: str
    dev_eui: str | None
    outcome: str
    flashed: bool
    key: str
    firmware: str
    digest: str
    micropython: str | None = None
    checks: tuple[Check, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether no part of the node failed its self-test."""
        return selftest.passed(list(self.checks))


def for_asset(asset: str) -> Choose:
    """The asset that the technician names."""
    return lambda db, mac: nodes.get(db, asset)


def next_free(site: str | None, board: str | None) -> Choose:
    """The asset that the board is reserved for already, else the first of the list that has none."""

    def choose(db: sql.Connection, mac: str) -> Standing:
        known = nodes.by_mac(db, mac)
        if known is not None:
            return known
        found = nodes.free(db, site, board, sites.get(db, site).board)
        if found is None:
            raise RegistryError(
                f"site {site}: every asset has its board" if site else "every asset has its board"
            )
        return found

    return choose


def commission(bench: Bench, port: str, choose: Choose, tell: Tell | None = None) -> Done:
    """Make the board on `port` the node of an asset, or see that it is.

    `tell` gets the name of each step and how far it is, 0 to 1. Raises UserError (nothing was written to the board),
    DeviceError; start again to go on.
    """
    return _Commission(bench, port, choose, tell or (lambda step, fraction: None)).run()


class _Commission:
    def __init__(self, bench: Bench, port: str, choose: Choose, tell: Tell) -> None:
        self._bench = bench
        self._port = port
        self._choose = choose
        self._tell = tell

    def run(self) -> Done:
        self._tell("connect", 0.0)
        with ExitStack() as stack:
            board = of_board.prompt(self._port, stack)
            seen = of_board.ask(board) if board else of_board.ask_rom(self._port)
            if board is None and self._was_flashed(seen.mac):
                # It slept, and the bootloader's reset has woken it: it waits for a host before it sleeps again.
                board = of_board.prompt(self._port, stack, wait=_BOOT_SECONDS)
                seen = of_board.ask(board) if board else seen
            try:
                standing, site = self._reserve(seen)
                kind = self._kind(standing, site, seen)
                # Before anything is written; what the node is told may lack a part.
                found = wanted.of(standing, site)
                outside = issuing.outside(self._bench.vault, self._bench.secrets, found, site)
                _refuse_lack(found, outside, seen)
            except BorneError:
                if board:
                    board.reset()
                raise
            flashed = seen.files != of_board.files_of(kind)
            if flashed or board is None:
                stack.close()
                flashed = self._flash(kind, seen.mac)
                board = stack.enter_context(Repl(self._port))
                seen = of_board.ask(board)
            with provision.running_again(board):
                return self._told(board, seen, standing, found, outside, kind, flashed)

    def _was_flashed(self, mac: str) -> bool:
        with self._bench.registry.reading() as db:
            return nodes.was_flashed(db, mac)

    def _reserve(self, seen: Seen) -> tuple[Standing, Site]:
        with self._bench.registry.writing() as db:
            standing = self._choose(db, seen.mac)
            site = sites.get(db, standing.asset.site)
            self._refuse_strangers(db, standing, seen)
            if standing.id is None:
                dev_eui, join_eui = issuing.euis(db, wanted.merged(standing.asset, site).link, seen.mac, site)
                nodes.reserve(db, standing, seen.mac, dev_eui, join_eui, self._bench.stamp())
                standing = nodes.get(db, standing.asset.asset)
        return standing, site

    def _refuse_strangers(self, db: sql.Connection, standing: Standing, seen: Seen) -> None:
        asset = standing.asset
        if standing.mac is not None and standing.mac != seen.mac:
            raise RegistryError(
                f"{self._port}: {asset.asset} has the board with MAC {standing.mac}, and this is {seen.mac}; "
                f"to give it this one: borne fleet replace {asset.asset}"
            )
        other = nodes.by_mac(db, seen.mac)
        if other is not None and other.asset_id != standing.asset_id:
            raise RegistryError(
                f"{self._port}: the board with MAC {seen.mac} is the node of {other.asset.asset}; "
                f"to take it from there: borne fleet replace {other.asset.asset}"
            )
        name = of_board.name_in(seen.settings)
        if standing.mac is None and name not in (None, asset.node_name) and not self._bench.take:
            raise RegistryError(
                f"{self._port}: this board (MAC {seen.mac}) is the node {name} of another list; "
                "--take makes it ours"
            )

    def _kind(self, standing: Standing, site: Site, seen: Seen) -> Board:
        name = standing.asset.board or site.board or self._bench.board or seen.board
        if name is None:
            raise SettingError(
                f"board: nothing says what board {standing.asset.asset} has: name it in the list, "
                "by borne fleet site --board, or with --board"
            )
        return boards.load(name)

    def _flash(self, kind: Board, mac: str) -> bool:
        """Whether anything had to be written: a board that only kept silent may have had all of it."""
        self._tell("flash", 0.0)
        how = flasher.How(self._bench.image, baud=self._bench.baud)
        done = flasher.flash(
            flasher.Job(self._port, kind), how, progress=lambda fraction: self._tell("flash", fraction)
        )
        if not done.written and self._was_flashed(mac):
            return False
        with self._bench.registry.writing() as db:
            nodes.flashed(
                db,
                mac,
                self._bench.stamp(),
                board=kind.name,
                micropython=kind.image_version,
                firmware=FIRMWARE_VERSION,
                files=of_board.files_of(kind),
                policy=_policy_digest().hex(),
            )
        return True

    def _told(
        self,
        board: Repl,
        seen: Seen,
        standing: Standing,
        found: Wanted,
        outside: dict[str, bytes],
        kind: Board,
        flashed: bool,
    ) -> Done:
        """Tell the node what it lacks, and record what it holds."""
        self._tell("compare", 0.0)
        slot = provision.slot_in_use(board)
        provision.helpers(board)
        has_key = bool(found.key and slot) and _has_key(board, str(slot), str(found.key), standing)
        same = slot is not None and seen.settings == provision.canonical(found.settings, slot)
        if same and (has_key or not found.key) and _has_all(board, slot, found, outside):
            settings = seen.settings or b""
            digest = hashlib.sha256(settings).hexdigest()
            known = standing.digest == digest and not standing.is_outdated and not flashed
            outcome, key = "already so" if known else "recorded", "kept" if has_key else "none"
        else:
            outcome = "provisioned"
            settings, digest, key = self._write(board, standing, found, outside, slot, has_key)
        checks: tuple[Check, ...] = ()
        firmware = seen.firmware or FIRMWARE_VERSION
        if outcome != "already so":
            self._tell("record", 0.0)
            self._record(standing, settings, digest, firmware, seen.micropython)
        if outcome != "already so" or self._failed_before(standing):
            checks = self._self_test(board, standing, kind, digest)
        self._tell("restart", 0.0)
        board.reset()
        asset, runs = standing.asset.asset, (firmware, digest, seen.micropython)
        return Done(self._port, asset, seen.mac, standing.dev_eui, outcome, flashed, key, *runs, checks)

    def _write(
        self,
        board: Repl,
        standing: Standing,
        found: Wanted,
        outside: dict[str, bytes],
        slot: str | None,
        has_key: bool,
    ) -> tuple[bytes, str, str]:
        """Settings, their digest, and whether the key is new."""
        secrets, kept, key = dict(outside), set(), "none"
        if found.key and has_key:
            kept.add(found.key)
            key = "kept"
        elif found.key:
            secrets[found.key], key = self._key(standing, found.key)
        for name in found.needed - outside.keys():
            if slot is None or not provision.has(board, name, slot):
                raise SettingError(issuing.missing(name))
            kept.add(name)
        prepared = issuing.prepared(found, secrets)

        def follow(step: str) -> None:
            self._tell(step, 0.0)

        done = provision.write(board, found.settings, prepared, kept, follow)
        return provision.canonical(found.settings, done.slot), done.digest, key

    def _self_test(self, board: Repl, standing: Standing, kind: Board, digest: str) -> tuple[Check, ...]:
        """What the parts of the node say, noted in its history."""
        if not self._bench.self_test:
            return ()
        self._tell("self-test", 0.0)
        checks = tuple(selftest.check(board, pins=kind, settings=digest))
        failed = [f"{one.name}: {one.detail}" for one in checks if one.ok is False]
        with self._bench.registry.writing() as db:
            said = "; ".join(failed) or nodes.PASSED
            nodes.note(db, standing.asset_id, standing.id, nodes.SELF_TEST, said, self._bench.stamp())
        return checks

    def _failed_before(self, standing: Standing) -> bool:
        with self._bench.registry.reading() as db:
            return nodes.failed_self_test(db, standing)

    def _key(self, standing: Standing, name: str) -> tuple[bytes, str]:
        """The node's own key: that of the registry where the vault gives it, or a new one, in vault and registry."""
        bench = self._bench
        if standing.key_record and not bench.vault.is_locked:
            return bench.vault.read(standing.key_record), "kept"
        return issuing.new_key(bench.registry, bench.vault, standing, name, bench.stamp()), "new"

    def _record(
        self, standing: Standing, settings: bytes, digest: str, firmware: str, micropython: str | None
    ) -> None:
        stamp = self._bench.stamp()
        with self._bench.registry.writing() as db:
            nodes.provisioned(db, standing, settings.decode(), digest, firmware, stamp, micropython)
            if standing.id is not None:
                pending.drop(db, standing.id, stamp)


def _refuse_lack(found: Wanted, outside: Mapping[str, bytes], seen: Seen) -> None:
    """Before a board is flashed: what was given is well formed, and a new board is given all. Raises SettingError."""
    issuing.prepared(found, outside)
    lacking = sorted(found.needed - outside.keys())
    if lacking and seen.settings is None:
        raise SettingError(issuing.missing(lacking[0]))


def _has_key(board: Repl, slot: str, name: str, standing: Standing) -> bool:
    """Whether the node has the key that the registry knows by its print."""
    printed = provision.print_of(board, name, slot, PRINT_NONCE)
    return printed is not None and printed == standing.key_print


def _has_all(board: Repl, slot: str | None, found: Wanted, outside: Mapping[str, bytes]) -> bool:
    """Whether the node has the secrets from outside: as they are where they are at hand, else at all."""
    assert slot is not None
    prepared = {name: credentials.form(name, value) for name, value in outside.items()}
    return all(
        provision.holds(board, name, slot, prepared[name])
        if name in prepared
        else provision.has(board, name, slot)
        for name in found.needed | prepared.keys()
    )
