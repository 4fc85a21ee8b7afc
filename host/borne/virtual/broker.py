"""An MQTT 3.1.1 broker inside this process, for the virtual street and for tests: amqtt on the loopback.

Every client has a user name and a password of its own; a node may publish and hear only below its own name.
What amqtt 0.12 does not do as a broker for the field must, measured by tests/host/test_broker.py or read in
its source:

- sessions and what they queue live in memory; ending the broker loses them; - a queue has no limit, a session
no expiry, and messages of the moment of reconnecting may overtake the queue; - what waited for a session
arrives with the retain flag set, against [MQTT-3.3.1-9]; - a message on its way to a client that breaks off
before it acknowledges is lost, against [MQTT-4.4.0-1]; - a client that gives a wrong password still throws
out the session that has its client id; - a subscriber's quality of service is used even if the publisher
asked for less, against [MQTT-3.8.4-6].
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter  # type: ignore[import-untyped]
from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.contexts import Action  # type: ignore[import-untyped]
from amqtt.mqtt.publish import PublishPacket  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]

from borne.errors import BrokerError

_LISTENER = "default"
# Starting takes tens of milliseconds and ending waits for open sessions; past this, something is stuck.
_LIMIT_S = 10.0

_T = TypeVar("_T")


@dataclass
class Accounts:
    """Who may connect, and what passed: shared by the broker's thread and its owner's."""

    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    everything: set[str] = field(default_factory=set)
    # PUBLISH packets received, counted before they are acknowledged, and those of them that were not let
    # through.
    received: int = 0
    refused: int = 0


class _Plugin(BasePlugin):  # type: ignore[misc]
    @dataclass
    class Config:
        accounts: Accounts


class Credentials(_Plugin, BaseAuthPlugin):  # type: ignore[misc]
    """Lets in who knows the password of the user name; loaded by amqtt by this class's path."""

    async def authenticate(self, *, session: Session) -> bool:
        expected = self.config.accounts.passwords.get(session.username or "")
        # Compared even for an unknown name, so that the time taken does not tell which names exist.
        same = hmac.compare_digest((session.password or "").encode(), (expected or "").encode())
        return same and bool(expected)


class OwnTopics(_Plugin, BaseTopicPlugin):  # type: ignore[misc]
    """Keeps a node to `borne/v1/<its name>/up/...` for publishing and `.../down/...` for hearing."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        accounts = self.config.accounts
        user = session.username if session else None
        if user in accounts.everything:
            return True
        way = "up" if action is Action.PUBLISH else "down"
        allowed = bool(topic) and str(topic).startswith(f"borne/v1/{user}/{way}/")
        if not allowed and action is Action.PUBLISH:
            accounts.refused += 1
        return allowed


class Counter(_Plugin):
    """Counts what arrives, so that the owner can tell when all of it has been handed on."""

    async def on_mqtt_packet_received(self, *, packet: object, session: object = None) -> None:
        if isinstance(packet, PublishPacket):
            self.config.accounts.received += 1


class EmbeddedBroker:
    """A broker on 127.0.0.1 for the length of a `with` block, in a thread of its own.

    `.host`, `.port` and `.url` say where. Users are added at any time by `allow`. Raises BrokerError where it
    cannot start or end.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.accounts = Accounts()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mqtt-broker", daemon=True)
        self._broker: Broker | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    @property
    def handed_on(self) -> int:
        """Messages that were received so far and that subscribers may expect."""
        return self.accounts.received - self.accounts.refused

    def allow(self, user: str, password: str, *, everything: bool = False) -> None:
        """Lets `user` in: to hear and say `everything`, or only what a node of that name may."""
        if not password:
            raise ValueError("a password must not be empty")
        self.accounts.passwords[user] = password
        if everything:
            self.accounts.everything.add(user)

    def __enter__(self) -> EmbeddedBroker:
        # A library's warnings about single clients are not for the terminal; who wants them adds a handler.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).addHandler(logging.NullHandler())
        self._thread.start()
        try:
            self._call(self._start())
        except Exception as error:
            self._end()
            raise BrokerError(f"the embedded broker does not start: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        try:
            self._call(self._stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_LIMIT_S)
            self._loop.close()

    async def _start(self) -> None:
        own = {"accounts": self.accounts}
        names = (Credentials, OwnTopics, Counter)
        config = {
            "listeners": {_LISTENER: {"type": "external"}},
            "plugins": {f"{each.__module__}.{each.__qualname__}": own for each in names},
        }
        self._broker = Broker(config, self._loop)
        await self._broker.start()
        # Our own socket rather than amqtt's listener: it cannot say which port it was given.
        self._server = await asyncio.start_server(self._connected, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._broker is None:
            return
        streams = StreamReaderAdapter(reader), StreamWriterAdapter(writer)
        task = self._loop.create_task(self._broker.external_connected(*streams, _LISTENER))
        self._connections[task] = writer
        task.add_done_callback(self._disconnected)

    def _disconnected(self, task: asyncio.Task[None]) -> None:
        # amqtt leaves the socket open where the first packet is no CONNECT.
        self._connections.pop(task).close()

    async def _stop(self) -> None:
        # A connection accepted in this very moment is known to the server two turns of the loop later; closed
        # before that, asyncio of Python 3.11 leaves its socket open (Server._attach fails).
        for _ in range(3):
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
        if self._broker is not None:
            await self._broker.shutdown()
        writers = list(self._connections.values())
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_LIMIT_S)
