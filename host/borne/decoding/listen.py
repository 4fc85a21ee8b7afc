"""Reports as they arrive by MQTT (`borne/v1/<node>/up/<port>`), decoded; and how people read a value."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from rich.text import Text

from borne.broker import PASSWORD_VARIABLE, Broker
from borne.decoding.report import OVERFLOW, SUPPRESSED, Report, Value, decode
from borne.decoding.table import Field
from borne.errors import BrokerError, DecodeError
from borne_node.report.schema import LUX_BOUNDS

UPLINKS = "borne/v1/+/up/+"

# A broker next door answers in milliseconds, one over a mobile link in a few seconds.
_CONNECT_S = 15.0
_KEEP_ALIVE_S = 60
# How often a wait looks up, so that Ctrl-C is heard: a queue's get cannot be interrupted on Windows.
_LOOK_UP_S = 0.5

Mark = Literal["noised", "coarse", "suppressed", "unknown", "overflow", ""]


@dataclass(frozen=True)
class Heard:
    """One message. `report` is None where the bytes are no report; `reason` then says why."""

    name: str
    port: int
    payload: bytes
    report: Report | None
    reason: str = ""


@dataclass(frozen=True)
class Shown:
    """One value of a report as people read it. `mark` says what the gate did to it, or why there is none."""

    name: str
    text: str
    mark: Mark


def listen(
    at: Broker,
    password: str | None = None,
    count: int | None = None,
    note: Callable[[str], None] | None = None,
) -> Iterator[Heard]:
    """Messages of all nodes as they come, `count` of them or without end. `note` gets what happens to the
    link.

    The password is that of the environment (BORNE_MQTT_PASSWORD) unless given. Raises BrokerError when the
    broker cannot be reached at first or refuses; a link that breaks later is mended.
    """
    if password is None:
        password = os.environ.get(PASSWORD_VARIABLE, "")
    with Subscriber(at, password, note) as subscriber:
        if note:
            note(f"{at}: listening")
        heard = 0
        while count is None or heard < count:
            message = subscriber.next(_LOOK_UP_S)
            if message is not None:
                heard += 1
                yield message


def hear(topic: str, payload: bytes) -> Heard:
    """What a message of a topic under `borne/v1/+/up/+` says."""
    _, _, name, _, port_text = topic.split("/")
    if not (port_text.isascii() and port_text.isdigit()):
        return Heard(name, 0, payload, None, f"{port_text!r} is no port")
    port = int(port_text)
    try:
        return Heard(name, port, payload, decode(payload, port))
    except DecodeError as error:
        return Heard(name, port, payload, None, str(error))


class Subscriber:
    """A session that hears all uplinks, for the length of a `with` block. Entering raises BrokerError.

    `topics`, and `take`, which makes of a topic and a payload what `next` gives, for those who hear other things.
    """

    def __init__(
        self,
        at: Broker,
        password: str = "",
        note: Callable[[str], None] | None = None,
        topics: Sequence[str] = (UPLINKS,),
        take: Callable[[str, bytes], Any] | None = None,
    ) -> None:
        self._topics = topics
        self._take = take or hear
        self._at = at
        self._note = note or (lambda text: None)
        self._messages: queue.Queue[Any] = queue.Queue()
        self._answers: queue.Queue[str] = queue.Queue()
        self._ending = False
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if at.user:
            self._client.username_pw_set(at.user, password)
        if at.tls:
            self._client.tls_set()
        self._client.connect_timeout = _CONNECT_S
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._message

    def __enter__(self) -> Subscriber:
        try:
            self._client.connect(self._at.host, self._at.port, _KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            raise BrokerError(f"{self._at}: cannot be reached: {_reason(error)}") from None
        self._client.loop_start()
        try:
            refusal = self._answers.get(timeout=_CONNECT_S)
        except queue.Empty:
            refusal = "does not answer as an MQTT broker"
        if refusal:
            self._end()
            raise BrokerError(f"{self._at}: {refusal}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message, at least once."""
        self._client.publish(topic, payload, qos=1)

    def next(self, timeout: float) -> Any:
        """The next message, or None when none comes within `timeout` seconds."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def _end(self) -> None:
        self._ending = True
        self._client.disconnect()
        self._client.loop_stop()

    # paho calls these in its own thread.

    def _connected(self, client: mqtt.Client, data: Any, flags: Any, code: Any, more: Any) -> None:
        if code.is_failure:
            self._answers.put(f"refuses: {code}{'' if self._at.user else ' (no user name given)'}")
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _subscribed(self, client: mqtt.Client, data: Any, mid: int, codes: list[Any], more: Any) -> None:
        # A network server's broker has none of our own topics, and the other way round: one that is let is enough.
        refused = all(code.is_failure for code in codes)
        topics = ", ".join(self._topics)
        self._answers.put(f"does not let {self._at.user or 'us'} hear {topics}" if refused else "")

    def _disconnected(self, client: mqtt.Client, data: Any, flags: Any, code: Any, more: Any) -> None:
        if not self._ending:
            self._answers.put("closed the connection; is it an MQTT broker?")
            self._note(f"{self._at}: the connection broke ({code}); trying again")

    def _message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        self._messages.put(self._take(message.topic, bytes(message.payload)))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or "timed out"


def shown(report: Report) -> tuple[Shown, ...]:
    """The values of a report as people read them, in order; those of several bays as one."""
    pairs = zip(report.fields, report.values, strict=True)
    return tuple(_group(list(group)) for _, group in groupby(pairs, key=lambda pair: pair[0].row))


def _group(pairs: list[tuple[Field, Value]]) -> Shown:
    field = pairs[0][0]
    if len(pairs) == 1:
        return Shown(field.row, _text(field, pairs[0][1]), _mark(field, pairs[0][1]))
    marks = [_mark(field, value) for field, value in pairs]
    bays = [_short(value) for _, value in pairs]
    while len(bays) > 1 and bays[-1] == "-":
        del bays[-1]
    mark = next((mark for mark in marks if mark in ("noised", "coarse", "")), marks[0])
    return Shown(field.row, f"{' '.join(bays)} {field.unit or ''}".strip(), mark)


def _short(value: Value) -> str:
    if value is None:
        return "-"
    if value is SUPPRESSED:
        return "x"
    return str(int(value)) if isinstance(value, bool) else str(value)


def _mark(field: Field, value: Value) -> Mark:
    if value is None:
        return "unknown"
    if value is SUPPRESSED:
        return "suppressed"
    if value is OVERFLOW:
        return "overflow"
    if field.epsilon:
        return "noised"
    return "coarse" if field.mechanism and field.mechanism.startswith("coarsened") else ""


def _text(field: Field, value: Value) -> str:
    if value is None:
        return "unknown"
    if value is SUPPRESSED or value is OVERFLOW:
        return str(value).lower()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.row == "lux_class" and isinstance(value, int):
        return _lux(value)
    return f"{value} {_UNITS.get(field.unit or '', field.unit or '')}".strip()


_UNITS = {"degC": "°C"}


def _lux(number: int) -> str:
    """The range of an illuminance class, as in 300-1000 lx."""
    if number == 0:
        return f"< {LUX_BOUNDS[0]} lx"
    if number == len(LUX_BOUNDS):
        return f"> {LUX_BOUNDS[-1]} lx"
    return f"{LUX_BOUNDS[number - 1]}-{LUX_BOUNDS[number]} lx"


# What the gate did to a value, as a sign before it and as a style.
SIGNS: dict[Mark, str] = {"noised": "~", "coarse": "≈"}
STYLES: dict[Mark, str] = {
    "noised": "yellow",
    "coarse": "cyan",
    "suppressed": "magenta",
    "unknown": "dim",
    "overflow": "red",
}


def line(heard: Heard, received: int) -> Text:
    """One message as one line for a terminal. `received` in unix seconds."""
    text = Text(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(received))}  ")
    text.append(f"{heard.name:<10}", "bold")
    if heard.report is None:
        return text.append(f"  not decoded: {heard.reason}: {heard.payload.hex()}", "red")
    text.append(f"  {heard.report.kind:<12}  ")
    return text.append_text(marked(shown(heard.report))).append(f"  {len(heard.payload)} B", "dim")


def marked(values: Iterable[Shown]) -> Text:
    """Values with their marks, in one line."""
    return Text(", ").join(
        Text(f"{one.name.replace('_', ' ')} ").append(
            SIGNS.get(one.mark, "") + one.text, STYLES.get(one.mark, "")
        )
        for one in values
    )


def as_json(heard: Heard, received: int) -> dict[str, Any]:
    """One message as a JSON object with the same keys for every report. `received` in unix seconds.

    `values` hold value and unit by name, `marks` what the gate did ("noised", "suppressed", ...); where the
    bytes are no report, `error` says why and the rest is null.
    """
    head = {"received": received, "name": heard.name, "port": heard.port, "payload": heard.payload.hex()}
    report = heard.report
    if report is None:
        return (
            head
            | dict.fromkeys(("kind", "window", "started", "values", "marks", "history"))
            | {"error": heard.reason}
        )
    full = report.as_dict()
    marks = {
        field.name: mark
        for field, value in zip(report.fields, report.values, strict=True)
        if (mark := _mark(field, value))
    }
    return head | {
        "kind": report.kind,
        "window": report.window,
        "started": report.started(received),
        "values": full["values"],
        "marks": marks,
        "history": full["history"],
        "error": None,
    }
