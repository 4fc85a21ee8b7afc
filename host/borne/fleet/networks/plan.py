"""The seam to every server: what has to be done for a node, done or only told, and a row about each.

Nothing is ever deleted: what a server has and the list has not is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from borne.errors import BorneError, NetworkError, SettingError
from borne.fleet.model import Node
from borne.fleet.networks.describe import Keys, NotYet
from borne.fleet.networks.errors import Denied, Refused

# What a row says was done; the last three make the run a failure.
CREATED, CHANGED, SAME, UNKNOWN, NO_NODE = "created", "changed", "same", "unknown", "no node yet"
WOULD_CREATE, WOULD_CHANGE = "would create", "would change"
REFUSED, FAILED, NOT_TRIED = "refused", "failed", "not tried"
FAILURES = (REFUSED, FAILED, NOT_TRIED)


@dataclass(frozen=True)
class Step:
    """One thing to do on a server: `what`, for people, and a call that does it and may be made again."""

    what: str
    act: Callable[[], None]


@dataclass(frozen=True)
class Row:
    """What came of one node, or of what all of them need (`asset` is then empty). No key is ever in it."""

    asset: str
    device: str
    action: str
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Backend(Protocol):
    """A server. Every method raises NetworkError, and Refused where only this node is concerned.

    link        of the nodes that it takes, "lorawan" or "wifi"
    shared      steps for what all nodes need: application, profile, codec
    present     all devices there by their identifier, with a name for people; called after `shared` was done
    identify    the identifier that a node has, or shall have, there
    steps       what is missing or different for one node, in an order that may break off anywhere; empty if all is so
    """

    link: str

    def shared(self, nodes: Sequence[Node]) -> list[Step]: ...

    def present(self) -> Mapping[str, str]: ...

    def identify(self, node: Node) -> str: ...

    def steps(self, node: Node, keys: Keys) -> list[Step]: ...


def register(
    backend: Backend,
    nodes: Sequence[Node],
    keys: Keys,
    *,
    known: Collection[Node] = (),
    dry_run: bool = False,
) -> Iterator[Row]:
    """Register nodes, one row as each is done. A run that broke off is made whole by running it again.

    `known` are all nodes of the list; what the server has beyond them is reported as unknown. With `dry_run` the
    server is read only. Raises SettingError before anything is done: two nodes with one identity.
    """
    _check(backend, nodes)
    try:
        for step in backend.shared(nodes):
            yield _do([step], "", step.what, WOULD_CREATE if dry_run else CREATED, dry_run)
        present = backend.present()
    except NetworkError as error:
        yield Row("", "", FAILED, _and_then(error))
        yield from (Row(node.asset.asset, _identity(backend, node), NOT_TRIED) for node in nodes)
        return
    stopped = False
    for node in nodes:
        row = Row(node.asset.asset, _identity(backend, node), NOT_TRIED)
        if not stopped:
            row, stopped = _one(backend, node, keys, present, dry_run)
        yield row
    yield from _strangers(backend, present, [*nodes, *known])


def _check(backend: Backend, nodes: Sequence[Node]) -> None:
    seen: dict[str, str] = {}
    for node in nodes:
        device = _identity(backend, node)
        if device and device in seen:
            raise SettingError(
                f"{node.asset.asset}: has the identity {device} of {seen[device]}: one of them is wrong"
            )
        seen[device] = node.asset.asset


def _identity(backend: Backend, node: Node) -> str:
    try:
        return backend.identify(node)
    except SettingError:
        return ""


def _one(
    backend: Backend, node: Node, keys: Keys, present: Mapping[str, str], dry_run: bool
) -> tuple[Row, bool]:
    """The node's row, and whether it makes no sense to go on."""
    asset, device = node.asset.asset, _identity(backend, node)
    try:
        if node.asset.link != backend.link:
            raise SettingError(f"is a node by {node.asset.link}, and this takes nodes by {backend.link} only")
        backend.identify(node)
        there = device in present
        done = (WOULD_CHANGE if there else WOULD_CREATE) if dry_run else (CHANGED if there else CREATED)
        return _do(backend.steps(node, keys), asset, device, done, dry_run), False
    except Refused as error:
        return Row(asset, device, REFUSED, str(error)), False
    except NetworkError as error:
        return Row(asset, device, FAILED, _and_then(error)), True
    except NotYet:
        return Row(asset, device, NO_NODE), False
    except BorneError as error:
        return Row(asset, device, REFUSED, str(error).removeprefix(f"{asset}: ")), False


def _and_then(error: NetworkError) -> str:
    """Why the run stops, and what to do."""
    return f"{error}: renew the token and run it again" if isinstance(error, Denied) else str(error)


def _do(steps: Sequence[Step], asset: str, device: str, done: str, dry_run: bool) -> Row:
    if not dry_run:
        for step in steps:
            step.act()
    if not steps:
        return Row(asset, device, SAME)
    return Row(asset, device, done, ", ".join(step.what for step in steps) if asset else "")


def _strangers(backend: Backend, present: Mapping[str, str], known: Collection[Node]) -> Iterator[Row]:
    ours = {device for node in known if (device := _identity(backend, node))}
    for device, name in present.items():
        if device not in ours:
            yield Row(name, device, UNKNOWN, "is there, and not in the list")


def summary(rows: Sequence[Row]) -> str:
    """The counts of a run in one line."""
    count = Counter(row.action for row in rows if row.asset or row.action in FAILURES)
    order = (CREATED, WOULD_CREATE, CHANGED, WOULD_CHANGE, SAME, NO_NODE, *FAILURES, UNKNOWN)
    return ", ".join(f"{count[name]} {name}" for name in order if count[name]) or "nothing to do"
