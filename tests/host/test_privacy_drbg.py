"""HMAC-DRBG against the same algorithm written over CPython's hmac, and the firmware kept free of weak generators."""

from __future__ import annotations

import ast
import hmac
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from borne_node.privacy.drbg import Hmac256Drbg

FIRMWARE = Path(__file__).parents[2] / "firmware"


class Peer:
    """SP 800-90A Rev. 1, 10.1.2, line by line."""

    def __init__(self, seed: bytes) -> None:
        self.key, self.value = bytes(32), b"\x01" * 32
        self.update(seed)

    def update(self, data: bytes) -> None:
        self.key = hmac.digest(self.key, self.value + b"\x00" + data, "sha256")
        self.value = hmac.digest(self.key, self.value, "sha256")
        if data:
            self.key = hmac.digest(self.key, self.value + b"\x01" + data, "sha256")
            self.value = hmac.digest(self.key, self.value, "sha256")

    def generate(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            self.value = hmac.digest(self.key, self.value, "sha256")
            out += self.value
        self.update(b"")
        return out[:count]


@given(
    st.lists(st.binary(max_size=80), min_size=1, max_size=3),
    st.lists(st.integers(0, 200) | st.binary(min_size=1)),
)
def test_any_sequence_of_calls_agrees(seed: list[bytes], calls: list[int | bytes]) -> None:
    ours, peer = Hmac256Drbg(*seed), Peer(b"".join(seed))
    for call in [*calls, 32]:
        if isinstance(call, bytes):
            ours.reseed(call)
            peer.update(call)
        else:
            assert ours.generate(call) == peer.generate(call)


def test_no_module_of_the_node_imports_random() -> None:
    files = sorted(FIRMWARE.rglob("*.py"))
    assert len(files) > 20
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"random", "urandom"} & {name.split(".")[0] for name in names}, file
