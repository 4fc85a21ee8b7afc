"""A technician's bench for tests: a registry, a vault, and virtual boards on its hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from littlefs import LittleFS

from borne import boards
from borne.flashing import node
from borne.flashing.repl import Repl
from borne.fleet import vault
from borne.fleet.commission import Bench
from borne.fleet.importing import import_list
from borne.fleet.lists import text
from borne.fleet.registry import nodes, open_registry, sites
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.sites import Site
from borne.fleet.vault import fingerprint, identities
from borne.virtual import VirtualBoard
from borne.virtual.nvs import Partition
from borne_node import settings as node_settings

LORA = "ttgo-lora32-v21"
LIST = f"asset;kind;board;site;street\nL1;light;{LORA};S;Rue de l'Église\nL2;light;{LORA};S;\n"
READY = b"waiting 3 s for a host"
_VFS_AT, _NVS_AT, _NVS_SIZE = 0x200000, 0x9000, 0x6000


@cache
def flashed(board: str) -> bytes:
    """What `borne flash` leaves in a flash of 4 MB."""
    content = bytearray(b"\xff" * (4 << 20))
    for region in node.regions(boards.load(board)):
        content[region.offset : region.offset + len(region.data)] = region.data
    return bytes(content)


class Hub:
    """`folder` keeps all of it. `identity` opens the vault; `bench` issues keys without it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = folder / "me.txt"
        me = identities.new()
        self.identity.write_text(me.revealed())
        self.identity.chmod(0o600)
        self.registry = open_registry(str(folder / "registry.sqlite"))
        self.vault = vault.create(folder / "vault", recipients=[me.recipient])
        self.boards: list[VirtualBoard] = []

    def bench(self, **more: Any) -> Bench:
        """Without a self-test unless asked for: the virtual boards of most tests have no sensors."""
        given = {"self_test": False, **more}
        return Bench(self.registry, vault.open_vault(self.vault.path), **given)

    def unlocked(self) -> vault.Vault:
        opened = vault.open_vault(self.vault.path)
        opened.unlock(self.identity)
        return opened

    def list(self, content: str, site: Site | None = None) -> None:
        plan = import_list(self.registry, text.read("list.csv", content.encode()))
        assert plan.refused == []
        if site is not None:
            with self.registry.writing() as db:
                sites.put(db, site)

    def board(self, name: str, kind: str | None = None, **options: Any) -> VirtualBoard:
        """A powered board; with the firmware for `kind` on it, or bare."""
        folder = self.folder / "boards" / name
        folder.mkdir(parents=True)
        if kind:
            (folder / "flash.bin").write_bytes(flashed(kind))
        made = VirtualBoard(folder, **options)
        self.boards.append(made)
        made.power_on()
        if kind:
            assert made.wait_for(READY)
            # It stays at its prompt, however long the test's computer takes until it comes to this board.
            with Repl(made.port):
                pass
        return made

    def close(self) -> None:
        for one in self.boards:
            one.close()
        self.registry.close()


def stored(board: VirtualBoard) -> tuple[dict[str, Any] | None, dict[str, bytes]]:
    """Settings, and the secrets of their slot by name, as they lie in the flash."""
    content = bytearray((board.folder / "flash.bin").read_bytes())
    system = LittleFS(block_size=4096, block_count=512, mount=False, name_max=255)
    system.context.buffer = content[_VFS_AT:]
    system.mount()
    if "settings.json" not in system.listdir("/"):
        return None, {}
    with system.open("/settings.json", "rb") as file:
        settings = json.loads(file.read())
    from borne_node import secrets

    values = {key: value for (_, key), value in Partition(content, _NVS_AT, _NVS_SIZE).values().items()}
    keys = {name: secrets.secret_key(name, settings["slot"]) for name in secrets.SECRETS}
    return settings, {name: values[key] for name, key in keys.items() if key in values}


def digest(settings: dict[str, Any]) -> str:
    return str(node_settings.digest(settings).hex())


Followed = Callable[[str, float], None]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path / "hub")
    yield made
    made.close()


def standing(hub: Hub, asset: str) -> Standing:
    with hub.registry.reading() as db:
        return nodes.get(db, asset)


def agree(
    hub: Hub, asset: str, board: VirtualBoard, secret: str = "app_key"
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Registry, vault and node say the same."""
    at = standing(hub, asset)
    settings, secrets = stored(board)
    assert settings is not None and at.key_record is not None
    assert at.mac == board.mac.hex()
    assert at.digest == digest(settings) and settings["name"] == asset
    assert hub.unlocked().read(at.key_record) == secrets[secret]
    assert fingerprint(secrets[secret]) == at.key_print
    return settings, secrets
