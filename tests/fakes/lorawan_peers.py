"""Implementations of LoRaWAN that share no line with the firmware, behind one interface: frames, joins, session keys.

liblora (Semtech's Basic MAC, PyPI) and pamoja (Rust, PyPI) always; lora-packet (npm) where node runs and its packages
are installed (`npm ci --prefix tests/peers`). Counters have 32 bits, EUIs and keys their most significant byte first.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, Protocol

import loracrypto
import loramsg
from pamoja._native import (
    LorawanDevice,
    LorawanRxData,
    LorawanSession,
    PamojaError,
    lorawan_parse_join_request,
)

from borne_node.link.lorawan.frames import Data

HERE = Path(__file__).parents[1] / "peers"
NODE = shutil.which("node")
_FLAGS = 0xF0


class Unable(Exception):
    """The peer has no such operation; what it cannot do is no disagreement."""


class Peer(Protocol):
    name: str

    def build(self, network: bytes, application: bytes, data: Data) -> bytes:
        """The frame of `data`. Raises Unable."""

    def open(self, network: bytes, application: bytes, frame: bytes, count: int) -> Data | None:
        """What a frame with this counter says, None where its integrity code is wrong or it is malformed."""

    def request(self, key: bytes, frame: bytes) -> tuple[bytes, bytes, int] | None:
        """(JoinEUI, DevEUI, DevNonce) of a join request, None where its integrity code is wrong."""

    def accept(
        self,
        key: bytes,
        join_nonce: int,
        net_id: int,
        address: int,
        settings: int,
        delay: int,
        channels: bytes,
    ) -> bytes:
        """A join accept; `channels` is the CFList or empty. Raises Unable."""

    def keys(self, key: bytes, join_nonce: int, net_id: int, nonce: int) -> tuple[bytes, bytes]:
        """(NwkSKey, AppSKey). Raises Unable."""

    def close(self) -> None: ...


def kind(data: Data) -> int:
    """MHDR of a data frame."""
    return 0x40 + 0x20 * data.down + 0x40 * data.confirmed


class LibLora:
    name = "liblora"

    def build(self, network: bytes, application: bytes, data: Data) -> bytes:
        made: bytes = loramsg.pack_dataframe(
            kind(data),
            struct.unpack("<i", struct.pack("<I", data.address))[0],
            data.control,
            data.count,
            data.options,
            data.port,
            data.payload,
            network,
            application,
        )
        return made

    def open(self, network: bytes, application: bytes, frame: bytes, count: int) -> Data | None:
        try:
            if not 0x40 <= loramsg.sanity_check_frame(frame) <= 0xA0:
                return None
            read = loramsg.unpack_dataframe(frame, count, network, application)
        except (ValueError, loramsg.VerifyError):
            return None
        port = None if read["FPort"] < 0 else read["FPort"]
        if read["FCnt"] != count:
            return None
        header = read["MHdr"]
        return Data(
            bool(header & 0x20),
            header >= 0x80,
            read["DevAddr"] & 0xFFFFFFFF,
            read["FCtrl"] & _FLAGS,
            count,
            bytes(read["FOpts"]),
            port,
            bytes(read["FRMPayload"]),
        )

    def request(self, key: bytes, frame: bytes) -> tuple[bytes, bytes, int] | None:
        try:
            loramsg.verify_jreq(key, frame)
        except (loramsg.VerifyError, struct.error):
            return None
        read = loramsg.unpack_jreq(frame)
        # liblora reads EUIs as signed.
        join, dev = ((read[one].as_int() % 2**64).to_bytes(8, "big") for one in ("JoinEUI", "DevEUI"))
        return join, dev, read["DevNonce"]

    def accept(
        self,
        key: bytes,
        join_nonce: int,
        net_id: int,
        address: int,
        settings: int,
        delay: int,
        channels: bytes,
    ) -> bytes:
        signed = struct.unpack("<i", struct.pack("<I", address))[0]
        made: bytes = loramsg.pack_jacc(key, join_nonce, net_id, signed, settings, delay, channels or None)
        return made

    def keys(self, key: bytes, join_nonce: int, net_id: int, nonce: int) -> tuple[bytes, bytes]:
        one, two = (loracrypto.crypto.derive(key, nonce, join_nonce, net_id, which) for which in (1, 2))
        return one, two

    def close(self) -> None:
        pass


class Pamoja:
    """It joins whole networks and devices (its GatewayNetwork, LorawanDevice), and has no single steps of a join."""

    name = "pamoja"

    def build(self, network: bytes, application: bytes, data: Data) -> bytes:
        session = LorawanSession(data.address, network, application)
        if data.port is None or (data.port == 0 and not data.payload):
            raise Unable("no data frame without a port")
        adr, ack, low = bool(data.control & 0x80), bool(data.control & 0x20), data.count
        port, payload, options = data.port, data.payload, data.options
        if data.down:
            pending = bool(data.control & 0x10)
            return session.encode_downlink(low, port, payload, data.confirmed, adr, ack, pending, options)
        asks = bool(data.control & 0x40)
        return session.encode_uplink(low, port, payload, data.confirmed, adr, ack, options, asks)

    def open(self, network: bytes, application: bytes, frame: bytes, count: int) -> Data | None:
        address = int.from_bytes(frame[1:5], "little")
        try:
            read = LorawanSession(address, network, application).decode(frame, count)
        except PamojaError:
            return None
        return Data(
            read.direction == "Downlink",
            read.confirmed,
            read.dev_addr,
            _control(read),
            count,
            bytes(read.fopts),
            read.fport,
            bytes(read.payload),
        )

    def request(self, key: bytes, frame: bytes) -> tuple[bytes, bytes, int] | None:
        try:
            read = lorawan_parse_join_request(frame, key)
        except PamojaError:
            return None
        return bytes(read.app_eui), bytes(read.dev_eui), read.dev_nonce

    def accept(self, *_: Any) -> bytes:
        raise Unable("join accepts come from its network as a whole")

    def keys(self, key: bytes, join_nonce: int, net_id: int, nonce: int) -> tuple[bytes, bytes]:
        raise Unable("session keys stay inside")

    def close(self) -> None:
        pass


def _control(read: LorawanRxData) -> int:
    up = read.direction == "Uplink"
    return (
        0x80 * read.adr
        | 0x40 * (up and read.adr_ack_req)
        | 0x20 * read.ack
        | 0x10 * (not up and read.fpending)
    )


class LoraPacket:
    """npm's lora-packet in a process of node's, asked line by line."""

    name = "lora-packet"

    def __init__(self) -> None:
        assert NODE
        self._process = subprocess.Popen(
            [NODE, str(HERE / "lora_packet.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, do: str, **fields: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        hexed = {name: one.hex() if isinstance(one, bytes) else one for name, one in fields.items()}
        stdin.write(json.dumps({"do": do} | hexed) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"lora-packet, {do}: {answer['error']}")
        return answer

    def build(self, network: bytes, application: bytes, data: Data) -> bytes:
        fields = data._asdict() | {"kind": kind(data), "address": data.address.to_bytes(4, "big")}
        return bytes.fromhex(self._ask("build", network=network, application=application, **fields))

    def open(self, network: bytes, application: bytes, frame: bytes, count: int) -> Data | None:
        if len(frame) < 12 or len(frame) < 12 + (frame[5] & 15):
            raise Unable("frames that are cut short")
        read = self._ask("open", network=network, application=application, frame=frame, count=count)
        if read is None:
            return None
        address, options, payload = (bytes.fromhex(read[one]) for one in ("address", "options", "payload"))
        return Data(
            read["down"],
            read["confirmed"],
            int.from_bytes(address, "big"),
            # It reads all four flags in both directions; the specification knows three of each.
            read["control"] & (0xB0 if read["down"] else 0xE0),
            count,
            options,
            read["port"],
            payload,
        )

    def request(self, key: bytes, frame: bytes) -> tuple[bytes, bytes, int] | None:
        read = self._ask("request", key=key, frame=frame)
        return (
            (bytes.fromhex(read["join_eui"]), bytes.fromhex(read["dev_eui"]), read["nonce"]) if read else None
        )

    def accept(
        self,
        key: bytes,
        join_nonce: int,
        net_id: int,
        address: int,
        settings: int,
        delay: int,
        channels: bytes,
    ) -> bytes:
        made = self._ask(
            "accept",
            key=key,
            join_nonce=join_nonce.to_bytes(3, "big"),
            net_id=net_id.to_bytes(3, "big"),
            address=address.to_bytes(4, "big"),
            settings=settings,
            delay=delay,
            channels=channels,
        )
        return bytes.fromhex(made)

    def keys(self, key: bytes, join_nonce: int, net_id: int, nonce: int) -> tuple[bytes, bytes]:
        one, two = self._ask(
            "keys",
            key=key,
            join_nonce=join_nonce.to_bytes(3, "big"),
            net_id=net_id.to_bytes(3, "big"),
            nonce=nonce.to_bytes(2, "big"),
        )
        return bytes.fromhex(one), bytes.fromhex(two)

    def close(self) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        stdin.close()
        self._process.wait(10)
        stdout.close()


PEERS: dict[str, Any] = {"liblora": LibLora, "pamoja": Pamoja}
if NODE and (HERE / "node_modules" / "lora-packet").is_dir():
    PEERS["lora-packet"] = LoraPacket


def pamojas_session(app_key: bytes, join_eui: bytes, dev_eui: bytes, accept: bytes, nonce: int) -> Any:
    """What pamoja's end-device takes from a join accept."""
    return LorawanDevice(dev_eui, join_eui, app_key).accept_join(accept, nonce)
