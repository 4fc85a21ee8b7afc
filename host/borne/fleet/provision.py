"""Provisioning over the cable: settings and secrets onto a flashed node, all or nothing, read back, compared.

Secrets go to the NVS slot that is not in use; the settings file names its slot and is switched by one rename.
Until that rename the node is what it was, after it the node is what it shall be: a cable may be pulled
anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets as entropy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from borne import radio, wiring
from borne.boards import unknown
from borne.errors import BorneError, ReadBackError, ReplError, SettingError
from borne.flashing.repl import Repl
from borne.flashing.tree import BOARD_FILE
from borne.fleet import credentials
from borne_node import secrets as node_secrets
from borne_node import settings as node_settings
from borne_node.errors import SettingsError
from borne_node.secrets import NVS_NAMESPACE, SECRETS, SLOTS
from borne_node.settings import FILE

Progress = Callable[[str], None]

# The firmware carries no annotations (MicroPython parses and drops them at a price); here are its types.
_validate: Callable[[dict[str, Any]], dict[str, Any]] = node_settings.validate
_canonical: Callable[[dict[str, Any]], bytes] = node_settings.canonical
_secret_key: Callable[[str, str], str] = node_secrets.secret_key

_NONCE_BYTES: Final = 16

# Runs on the node. p: store or, without a value, remove; c: copy; d: what a blob hashes to behind a nonce, or nothing.
_HELPERS: Final = f"""\
import esp32,hashlib,binascii
n=esp32.NVS({NVS_NAMESPACE!r})
def p(k,v=None):
 if v is not None:
  n.set_blob(k,binascii.a2b_base64(v))
  return
 try:n.erase_key(k)
 except OSError:pass
def c(k,t):
 b=bytearray({credentials.BLOB_MAX})
 n.set_blob(t,memoryview(b)[:n.get_blob(k,b)])
def d(k,s):
 b=bytearray({credentials.BLOB_MAX})
 try:c=n.get_blob(k,b)
 except OSError:
  print('-')
  return
 h=hashlib.sha256(binascii.a2b_base64(s))
 h.update(memoryview(b)[:c])
 print(str(binascii.hexlify(h.digest()),'ascii'))
"""


@dataclass(frozen=True)
class Provisioned:
    """`firmware`: its version; `slot`: where the secrets lie; `digest`: SHA-256 of the settings file, hex."""

    port: str
    name: str
    kind: str
    firmware: str
    slot: str
    digest: str


def check(
    settings: Mapping[str, Any], secrets: Mapping[str, bytes]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Settings completed and secrets in the node's form, all checked before anything is written.

    Raises SettingError that names the field.
    """
    complete = check_settings(settings)
    return complete, credentials.prepare(complete, secrets)


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings completed and checked as the node does. Raises SettingError that names the field."""
    if "slot" in settings:
        raise SettingError("slot: is chosen by provisioning")
    _refuse_unknown(settings)
    try:
        complete = _validate(dict(settings))
    except SettingsError as error:
        raise SettingError(str(error)) from None
    return complete


def _refuse_unknown(settings: Mapping[str, Any]) -> None:
    """Unknown names and kinds, with the nearest that there is; the node's own check only lists them."""
    known = (*node_settings.NAMES, *SECRETS, "version")
    for name in settings:
        if name not in known:
            raise SettingError(f"setting {unknown(name, node_settings.NAMES)}")
    region = settings.get("region")
    if isinstance(region, str) and region not in node_settings.REGIONS:
        raise SettingError(f"region: {unknown(region, node_settings.REGIONS)}")
    kind = settings.get("kind")
    if isinstance(kind, str) and kind not in node_settings.KINDS:
        raise SettingError(f"kind: {unknown(kind, node_settings.KINDS)}")


def provision(
    port: str,
    settings: Mapping[str, Any],
    secrets: Mapping[str, bytes],
    progress: Progress | None = None,
    *,
    restart: bool = True,
) -> Provisioned:
    """Write settings and secrets to the node on `port`, read them back, and restart it.

    `settings` as borne_node.settings has them, without `slot`; `secrets` by the names of its SECRETS, an open
    Wi-Fi having none. `progress` gets the name of each step. Raises SettingError (nothing was written),
    PortError, NoAnswer, ReplError, ReadBackError; whatever is raised, the node has either its old
    configuration or the new one.
    """
    tell = progress or (lambda step: None)
    complete, prepared = check(settings, secrets)
    tell("connect")
    with Repl(port) as board, running_again(board):
        done = write(board, complete, prepared, progress=tell)
        if restart:
            tell("restart")
            board.reset()
    return done


def write(
    board: Repl,
    complete: Mapping[str, Any],
    prepared: Mapping[str, bytes],
    kept: Collection[str] = (),
    progress: Progress | None = None,
) -> Provisioned:
    """What `provision` does at a prompt that is open: all or nothing, read back. The node is not restarted.

    `complete` and `prepared` as `check` gives them; `kept` are secrets that the node has and keeps, by being copied on
    the node itself. Raises SettingError, ReplError, ReadBackError.
    """
    tell = progress or (lambda step: None)
    version = _firmware(board)
    _check_board(board, complete)
    old = slot_in_use(board)
    chosen = dict(complete, slot=_other(old) if old else SLOTS[0])
    tell("secrets")
    _write_secrets(board, prepared, chosen["slot"], kept)
    _compare_secrets(board, prepared, chosen["slot"], kept)
    tell("settings")
    raw = _canonical(chosen)
    _switch(board, raw)
    _write_secrets(board, {}, _other(chosen["slot"]))
    digest = hashlib.sha256(raw).hexdigest()
    return Provisioned(board.port, chosen["name"], chosen["kind"], version, chosen["slot"], digest)


def canonical(complete: Mapping[str, Any], slot: str) -> bytes:
    """The settings file as `write` writes it into a slot."""
    return _canonical(dict(complete, slot=slot))


def helpers(board: Repl) -> None:
    """What the functions below need on the node."""
    board.run(_HELPERS)


def print_of(board: Repl, name: str, slot: str, nonce: bytes) -> str | None:
    """SHA-256 (hex) of `nonce` and a secret that the node has in a slot, None where it has none there.

    `helpers` must have run in this session.
    """
    answer = board.run(f"d({_secret_key(name, slot)!r},{_base64(nonce)!r})").strip()
    return None if answer == "-" else answer


def has(board: Repl, name: str, slot: str) -> bool:
    """Whether the node has a secret of that name in a slot, whatever it is."""
    return print_of(board, name, slot, entropy.token_bytes(_NONCE_BYTES)) is not None


def holds(board: Repl, name: str, slot: str, secret: bytes) -> bool:
    """Whether the node has this secret in a slot; it does not travel over the line."""
    nonce = entropy.token_bytes(_NONCE_BYTES)
    return print_of(board, name, slot, nonce) == hashlib.sha256(nonce + secret).hexdigest()


@contextmanager
def running_again(board: Repl) -> Iterator[None]:
    """A node that could not be provisioned goes on with what it had, instead of standing at its prompt."""
    try:
        yield
    except BaseException:
        with suppress(BorneError):
            board.reset()
        raise


def _other(slot: str) -> str:
    return SLOTS[1 - SLOTS.index(slot)]


def _switch(board: Repl, raw: bytes) -> None:
    board.write_file(FILE, raw)
    if board.read_file(FILE) != raw:
        raise ReadBackError(f"{board.port}: {FILE} on the node is not what was written; provision it again")


def _firmware(board: Repl) -> str:
    found = board.firmware()
    if found is None:
        raise ReplError(
            f"{board.port}: MicroPython without our firmware: flash the board first (borne flash)"
        )
    if found.get("settings") != node_settings.VERSION:
        raise ReplError(
            f"{board.port}: firmware {found['borne_node']} takes settings of form {found.get('settings')}, "
            f"this borne writes form {node_settings.VERSION}: flash the board again (borne flash)"
        )
    return str(found["borne_node"])


def _check_board(board: Repl, complete: Mapping[str, Any]) -> None:
    """Refuse a node that the board lacks pins for, and a LoRaWAN node without a radio for its region."""
    try:
        names = json.loads(board.read_file(BOARD_FILE) or b"{}")
    except ValueError:
        names = {}
    what = f"the board on {board.port} ({names.get('board', 'of no board file')})"
    lacks = wiring.lacking(names, complete["kind"], wiring.chosen(complete)) if "board" in names else None
    if lacks:
        raise SettingError(f"kind: {what} {lacks}")
    if complete["link"] != "lorawan":
        return
    region = complete["region"]
    if "radio" not in names:
        raise SettingError(f"link: {what} has no LoRa radio")
    first, last = radio.span_mhz(region)
    low, high = names.get("radio_low_mhz", 0), names.get("radio_high_mhz", last)
    if not low <= first <= last <= high:
        raise SettingError(
            f"region: {region} lies at {first:g} to {last:g} MHz; the radio of {names['board']} is built for "
            f"{low} to {high} MHz"
        )


def slot_in_use(board: Repl) -> str | None:
    """The slot that the settings on the node name, None where there are no valid ones."""
    raw = board.read_file(FILE)
    try:
        slot = json.loads(raw or b"null")["slot"]
    except (ValueError, TypeError, KeyError):
        return None
    return slot if slot in SLOTS else None


def _write_secrets(board: Repl, secrets: Mapping[str, bytes], slot: str, kept: Collection[str] = ()) -> None:
    """Make a slot hold exactly these, and those of the other slot that are `kept`.

    NVS marks what is removed as erased; its page is blanked when it is next reused.
    """
    helpers(board)
    for name in SECRETS:
        key = _secret_key(name, slot)
        if name in secrets:
            board.run(f"p({key!r},{_base64(secrets[name])!r})")
        elif name in kept:
            board.run(f"c({_secret_key(name, _other(slot))!r},{key!r})")
        else:
            board.run(f"p({key!r})")
    board.run("n.commit()")


def _compare_secrets(
    board: Repl, secrets: Mapping[str, bytes], slot: str, kept: Collection[str] = ()
) -> None:
    """Compare by a salted hash that the node computes, so that no secret travels back over the line."""
    for name in SECRETS:
        nonce = entropy.token_bytes(_NONCE_BYTES)
        if name in secrets:
            expected: str | None = hashlib.sha256(nonce + secrets[name]).hexdigest()
        else:
            expected = print_of(board, name, _other(slot), nonce) if name in kept else None
        if print_of(board, name, slot, nonce) != expected:
            raise ReadBackError(
                f"{board.port}: {name} on the node is not what was written; its old configuration stands"
            )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
