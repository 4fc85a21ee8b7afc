"""The way to Mosquitto's dynamic-security plugin over MQTT, as an administrator of it."""

from __future__ import annotations

import json
import queue
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from borne.fleet.networks.errors import Busy, Denied
from borne.fleet.networks.pace import Pace

_TOPIC: Final = "$CONTROL/dynamic-security/v1"
_TIMEOUT_S: Final = 10.0
# MQTT 3.1.1, table 3.1: bad user name or password; not authorized.
_BAD: Final = (4, 5, 134, 135)


@dataclass(frozen=True)
class Broker:
    """Where the broker is and who administers it; `ca` in PEM, None for the system's."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool = True
    ca: bytes | None = field(default=None, repr=False)


class MqttControl:
    """A connection as `broker.user`, made when it is first needed. Raises NetworkError, Denied."""

    def __init__(self, broker: Broker, pace: Pace) -> None:
        self._broker, self._pace = broker, pace
        self._client: Client | None = None
        self._answers: queue.Queue[Any] = queue.Queue()

    def close(self) -> None:
        if self._client:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def send(self, commands: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        return self._pace(lambda: self._exchange(commands))

    def _exchange(self, commands: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        client = self._client or self._connected()
        while not self._answers.empty():
            self._answers.get_nowait()
        client.publish(_TOPIC, json.dumps({"commands": commands}), qos=1)
        try:
            answer = self._answers.get(timeout=_TIMEOUT_S)
        except queue.Empty:
            self.close()
            raise Busy("Mosquitto: its dynamic-security plugin does not answer: is it loaded?") from None
        return list(answer.get("responses", ()))

    def _connected(self) -> Client:
        client, code = self._connect(self._broker.user, self._broker.password)
        if code in _BAD:
            raise Denied(f"Mosquitto: does not let {self._broker.user} in")
        if code != 0:
            raise Busy(f"Mosquitto: refuses the connection with code {code}")
        granted: queue.Queue[int] = queue.Queue()
        client.on_subscribe = lambda *given: granted.put(given[3][0].value)
        client.on_message = self._heard
        client.subscribe(f"{_TOPIC}/response", qos=1)
        try:
            refused = granted.get(timeout=_TIMEOUT_S) >= 128
        except queue.Empty:
            raise Busy("Mosquitto: does not answer") from None
        if refused:
            raise Denied(f"Mosquitto: {self._broker.user} may not administer it")
        self._client = client
        return client

    def _connect(self, user: str, password: str) -> tuple[Client, int]:
        """A client whose loop runs, and the code of the broker's CONNACK. Raises Busy."""
        client = Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(user, password)
        if self._broker.tls:
            context = ssl.create_default_context(cadata=self._broker.ca.decode() if self._broker.ca else None)
            client.tls_set_context(context)
        codes: queue.Queue[int] = queue.Queue()
        client.on_connect = lambda *given: codes.put(given[3].value)
        try:
            started = client.connect(self._broker.host, self._broker.port, keepalive=60)
        except OSError as error:
            raise Busy(f"Mosquitto at {self._broker.host}:{self._broker.port}: {error}") from None
        if started != MQTT_ERR_SUCCESS:
            raise Busy(f"Mosquitto at {self._broker.host}:{self._broker.port}: cannot be reached")
        client.loop_start()
        try:
            return client, codes.get(timeout=_TIMEOUT_S)
        except queue.Empty:
            client.loop_stop()
            raise Busy("Mosquitto: does not answer") from None

    def _heard(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        try:
            self._answers.put(json.loads(message.payload))
        except ValueError:
            self._answers.put({})

    def lets_in(self, name: str, password: str) -> bool:
        def attempt() -> bool:
            client, code = self._connect(name, password)
            client.disconnect()
            client.loop_stop()
            return code == 0

        return self._pace(attempt)
