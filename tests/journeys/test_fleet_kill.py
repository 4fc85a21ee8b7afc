"""The laptop dies at 200 random points of provisioning: registry, vault and nodes agree in the end, whatever it hit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import killed
import pytest
from fleet_bench import READY, Hub, digest, stored

from borne.fleet.registry import nodes
from borne.fleet.replacing import replace
from borne.fleet.setting import change
from borne.fleet.vault import fingerprint

KILLS, WORKERS = 200, 2
BOARD = "ttgo-lora32-v21"


class Worker:
    """One board, its asset, and the program that provisions it and dies."""

    def __init__(self, hub: Hub, number: int) -> None:
        self.hub = hub
        self.asset = f"L{number}"
        self.dice = random.Random(number)
        self.board = hub.board(f"b{number}", BOARD)
        self.outcomes: list[str] = []
        self.kills = 0
        self.steps = 0
        self._program = subprocess.Popen(
            [sys.executable, str(Path(killed.__file__)), str(hub.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def provision(self, at: int) -> bool:
        """Whether it was killed."""
        assert self._program.stdin and self._program.stdout
        # As a technician does: the cable out and in, and the board is awake.
        self.board.power_off()
        self.board.forget_printed()
        self.board.power_on()
        assert self.board.wait_for(READY)
        order = {"port": self.board.port, "asset": self.asset, "at": at}
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        answer = json.loads(self._program.stdout.readline())
        if answer["killed"]:
            self.kills += 1
            return True
        self.steps = max(self.steps, answer["steps"])
        self.outcomes.append(answer["outcome"])
        return False

    def work(self, kills: int) -> None:
        """Be killed so often; whenever a run comes through, there is something new to do."""
        self.provision(0)
        while self.kills < kills:
            self.something_new()
            while self.kills < kills and self.provision(self.dice.randint(1, self.steps)):
                self.check()
        self.provision(0)

    def something_new(self) -> None:
        if self.dice.random() < 0.4:
            replace(self.hub.registry, self.asset, "for a change")
        else:
            change(self.hub.registry, self.asset, {"refractory_s": str(self.dice.randint(5, 600))})

    def check(self) -> None:
        """At any time: what registry and node have is in the vault, and what the node has is whole."""
        with self.hub.registry.reading() as db:
            at = nodes.get(db, self.asset)
        vault = self.hub.unlocked()
        if at.key_record:
            assert fingerprint(vault.read(at.key_record)) == at.key_print
        _, secrets = stored(self.board)
        held = {vault.read(name) for name in vault.records() if at.dev_eui is None or at.dev_eui in name}
        assert not secrets or secrets["app_key"] in held

    def close(self) -> None:
        assert self._program.stdin
        self._program.stdin.close()
        self._program.wait(30)


@pytest.fixture
def hub(tmp_path):
    made = Hub(tmp_path / "hub")
    made.list(f"asset;kind;board;site\nL0;light;{BOARD};S\nL1;light;{BOARD};S\n")
    yield made
    made.close()


def test_registry_vault_and_nodes_agree_after_200_kills(hub):
    workers = [Worker(hub, number) for number in range(WORKERS)]
    failures = []

    def work(worker):
        try:
            worker.work(KILLS // WORKERS)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.close()
    if failures:
        raise failures[0]
    assert sum(worker.kills for worker in workers) == KILLS
    vault = hub.unlocked()
    every = [vault.read(name) for name in vault.records()]
    assert len(set(every)) == len(every), "a key was issued twice"
    for worker in workers:
        assert not [said for said in worker.outcomes if said.startswith("error")]
        with hub.registry.reading() as db:
            at = nodes.get(db, worker.asset)
        settings, secrets = stored(worker.board)
        assert (at.mac, at.digest) == (worker.board.mac.hex(), digest(settings))
        assert not at.is_outdated
        assert vault.read(at.key_record) == secrets["app_key"]
