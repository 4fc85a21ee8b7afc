"""One report: its bytes, decoded and typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from borne.decoding.table import FIRST_RESERVED_PORT, PORTS_A_VERSION, VERSION, Field, Layout, layouts
from borne.errors import DecodeError
from borne_node.report import codec
from borne_node.report.markers import OVERFLOW, SUPPRESSED, Marker
from borne_node.report.schema import FrameError

Value = int | str | bool | Marker | None

# The firmware carries no annotations: these are the types of what is called.
_decode: Callable[[int, bytes], Any] = codec.decode
_encode: Callable[..., bytes] = codec.encode

__all__ = ["OVERFLOW", "SUPPRESSED", "Marker", "Report", "Value", "decode", "encode"]


class Report(NamedTuple):
    """What one frame says. Immutable; `report.level` and `report.value("level")` are the same.

    values   one for each field of `names`: int, str (label, or hex of raw bytes), bool, None (unknown),
             SUPPRESSED (withheld by the gate) or OVERFLOW (outside what the field can say)
    window   index of the time window, or None for a report without one
    history  the values of the windows before it, newest first
    """

    port: int
    window: int | None
    values: tuple[Value, ...]
    history: tuple[tuple[Value, ...], ...] = ()

    @property
    def layout(self) -> Layout:
        return layouts()[self.port]

    @property
    def kind(self) -> str:
        """What the report is about: "fill", "parking zone", "health", ..."""
        return self.layout.name

    @property
    def fields(self) -> tuple[Field, ...]:
        layout = self.layout
        if not layout.variants:
            return layout.fields
        return layout.fields + layout.variants[_code(self.port, layout.fields[0], self.values[0])]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def value(self, name: str) -> Value:
        """The value of one field. Raises KeyError."""
        for field, value in zip(self.fields, self.values, strict=True):
            if field.name == name:
                return value
        raise KeyError(name)

    def __getattr__(self, name: str) -> Value:
        try:
            return self.value(name)
        except KeyError:
            raise AttributeError(f"a {self.kind} report has no field {name!r}") from None

    def flat(self) -> dict[str, Value]:
        """Port, kind, window and the values by name, ready for JSON: markers become "suppressed" and
        "overflow".
        """
        head: dict[str, Value] = {"port": self.port, "kind": self.kind, "window": self.window}
        return head | dict(zip(self.names, map(_plain, self.values), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """The same with units, and the history; ready for JSON.

        {"port": 30, "kind": "fill", "window": 7, "values": {"level": {"value": 35, "unit": "%"}, ...},
        "history": [...]}
        """
        return {
            "port": self.port,
            "kind": self.kind,
            "window": self.window,
            "values": self._with_units(self.values),
            "history": [
                {"window": self.earlier(n), "values": self._with_units(values)}
                for n, values in enumerate(self.history)
            ],
        }

    def _with_units(self, values: tuple[Value, ...]) -> dict[str, dict[str, Value]]:
        return {
            field.name: {"value": _plain(value)} | ({"unit": field.unit} if field.unit else {})
            for field, value in zip(self.fields, values, strict=True)
        }

    def earlier(self, n: int) -> int:
        """The window index of history[n]."""
        assert self.window is not None
        return (self.window - 1 - n) % (1 << self.layout.window_bits)

    def started(self, received: int, earlier: int = 0) -> int | None:
        """When the window began, in unix seconds: the last time before `received` at which its index was
        current.

        `earlier` counts windows back from it, as in history[earlier - 1]. None for a report without a window.
        """
        if self.window is None:
            return None
        layout = self.layout
        now = received // layout.window_s
        back = (now - self.window) % (1 << layout.window_bits)
        return (now - back - earlier) * layout.window_s


def _plain(value: Value) -> Value:
    return value.name.lower() if isinstance(value, Marker) else value


def decode(payload: bytes, port: int) -> Report:
    """One report out of the bytes of one frame. Raises DecodeError that names port, byte and bit."""
    plan = _plans().get(port)
    if plan is not None and len(payload) == plan.size:
        code = int.from_bytes(payload, "big")
        values = tuple([table[code >> shift & mask] for table, shift, mask in plan.steps])
        if _REFUSED not in values:
            return Report(port, code >> plan.window_shift if plan.window_shift else None, values)
    return _decode_by_table(payload, port)


def _decode_by_table(payload: bytes, port: int) -> Report:
    """The node's own decoder, for whatever is not a plain frame, and for the exact place of an error."""
    layout = layout_of(port)
    try:
        frame = _decode(port, payload)
    except FrameError as error:
        raise DecodeError(error.reason, port=port, byte=error.byte, bit=error.bit) from None
    fields = layout.fields + layout.variants.get(frame.values[0], ())
    history = tuple(_labelled(fields, values) for values in frame.history)
    return Report(port, frame.window, _labelled(fields, frame.values), history)


def layout_of(port: int) -> Layout:
    """The layout of a port. Raises DecodeError where this version knows none."""
    if port not in layouts():
        raise DecodeError(unknown_port(port), port=port)
    return layouts()[port]


def unknown_port(port: int) -> str:
    """Why a port is refused: of which version it is, if it is of any."""
    if port % PORTS_A_VERSION in layouts() and PORTS_A_VERSION < port < FIRST_RESERVED_PORT:
        known = max(one for one in layouts() if one % PORTS_A_VERSION == port % PORTS_A_VERSION)
        return f"is of format version {_version(port)}, this decoder knows version {_version(known)}"
    return f"is no port of format version {VERSION}"


def _version(port: int) -> int:
    return port // PORTS_A_VERSION + 1


def _labelled(fields: tuple[Field, ...], values: tuple[Any, ...]) -> tuple[Value, ...]:
    return tuple(_label(field, value) for field, value in zip(fields, values, strict=True))


def _label(field: Field, value: Any) -> Value:
    if isinstance(value, bytes):
        return value.hex()
    if field.labels is not None and isinstance(value, int):
        return field.labels[value]
    return value  # type: ignore[no-any-return]


def encode(
    port: int,
    window: int | None,
    values: tuple[Value, ...],
    history: tuple[tuple[Value, ...] | None, ...] | None = None,
    room: int | None = None,
) -> bytes:
    """The bytes that a node sends, or the downlink for it (port 5), from values as `decode` gives them.

    Raises DecodeError for values that the frame cannot say.
    """
    layout = layout_of(port)
    fields = layout.fields
    if layout.variants and values:
        fields += layout.variants.get(_code(port, fields[0], values[0]), ())
    past = None if history is None else [then and _codes(port, fields, then) for then in history]
    try:
        return _encode(port, window, _codes(port, fields, values), past, room)
    except FrameError as error:
        raise DecodeError(error.reason, port=port, byte=error.byte, bit=error.bit) from None


def _codes(port: int, fields: tuple[Field, ...], values: tuple[Value, ...]) -> tuple[Any, ...]:
    codes = tuple(_code(port, field, value) for field, value in zip(fields, values, strict=False))
    return codes + values[len(fields) :]


def _code(port: int, field: Field, value: Any) -> Any:
    if value is None or isinstance(value, Marker):
        return value
    try:
        if field.raw:
            return bytes.fromhex(value)
        if field.labels is not None:
            return field.labels.index(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    except (ValueError, TypeError):
        pass
    at = field.position
    reason = f"{field.name} cannot be {value!r}"
    raise DecodeError(reason, port=port, byte=at >> 3, bit=7 - (at & 7))


_REFUSED: Any = object()


class _Hex:
    """Stands in for the table of values of a raw field, which would have 2**32 entries."""

    def __init__(self, width: int) -> None:
        self.digits = width // 4

    def __getitem__(self, code: int) -> str:
        return f"{code:0{self.digits}x}"


class _Plan(NamedTuple):
    """How to read a plain frame as one number: the value of each field is table[code >> shift & mask]."""

    size: int
    window_shift: int
    steps: tuple[tuple[Any, int, int], ...]


@cache
def _plans() -> dict[int, _Plan]:
    return {port: _plan(layout) for port, layout in layouts().items() if not layout.variants}


def _plan(layout: Layout) -> _Plan:
    bits = layout.size * 8
    steps = tuple((_values(field), bits - field.position - field.width, field.top) for field in layout.fields)
    return _Plan(layout.size, bits - layout.window_bits if layout.window_bits else 0, steps)


def _values(field: Field) -> Any:
    if field.raw:
        return _Hex(field.width)
    meanings = {"unknown": None, "suppressed": SUPPRESSED, "overflow": OVERFLOW}
    table: list[Value] = [_REFUSED] * (field.top + 1)
    for code in range(field.last + 1):
        table[code] = field.labels[code] if field.labels else field.offset + field.step * code
    for code, name in field.reserved.items():
        table[code] = meanings[name]
    return tuple(table)
