"""borne provision --batch: one board after another, eight at once, onto the assets of a list."""

from __future__ import annotations

import os
import threading
import tty
from contextlib import ExitStack, suppress

import pytest
import serial
from fleet_bench import LIST, LORA, agree, hub, standing

from borne.errors import SettingError
from borne.fleet.batch import Batch
from borne.fleet.labelling import Labels

__all__ = ["hub"]


def test_a_batch(hub):
    hub.list(LIST)
    made = [hub.board(name, LORA) for name in "ab"]
    told = []
    batch = Batch(
        hub.bench(), "S", None, [one.port for one in made], lambda event, tally: told.append((event, tally))
    )
    batch.run()
    assert batch.failures == []
    assert (batch.tally().done, batch.tally().failed, batch.tally().left) == (2, 0, 0)
    by_mac = {one.mac.hex(): one for one in made}
    for asset in ("L1", "L2"):
        agree(hub, asset, by_mac[standing(hub, asset).mac])
    assert told[-1][1] == batch.tally()
    # Again, and with a third that finds no place.
    third = hub.board("c", LORA)
    batch = Batch(hub.bench(), "S", None, [*(one.port for one in made), third.port])
    batch.run()
    assert [one.outcome for one in batch.finished] == ["already so"] * 2
    assert [str(error) for _, error in batch.failures] == ["site S: every asset has its board"]


def test_a_label_for_each_board_of_a_batch(hub, tmp_path):
    hub.list(LIST.replace("L2;light", "L/2;light"))
    made = [hub.board(name, LORA) for name in "ab"]
    printed = tmp_path / "printed"
    printed.mkdir()
    labels = Labels(hub.registry, tmp_path / "labels", "dk22205", f"cp -t '{printed}'")
    batch = Batch(hub.bench(), "S", None, [one.port for one in made], then=labels)
    batch.run()
    assert batch.tally().done == 2
    assert sorted(path.name for path in printed.iterdir()) == ["L-2.pdf", "L1.pdf"]
    hub.list(LIST.replace("L2;light", "L/2;light").replace("Rue de l'Église", "Quai"))
    broken = Labels(hub.registry, tmp_path / "labels", "dk22205", "false")
    batch = Batch(hub.bench(), "S", None, [one.port for one in made], then=broken)
    batch.run()
    assert {str(error).split(": ", 1)[1] for _, error in batch.failures} == {"false: exit status 1"}
    with pytest.raises(SettingError, match="stock: 'X' is unknown"):
        Labels(hub.registry, tmp_path, "X")
    with pytest.raises(SettingError, match="print: "):
        Labels(hub.registry, tmp_path, "dk22205", "lp 'tape")


def test_a_batch_takes_what_is_plugged_in(hub):
    """The hub's ports as the computer lists them: one comes when another goes."""
    hub.list(LIST)
    first, second = (hub.board(name, LORA) for name in "ab")
    there = {first.port: first}

    def told(event, tally):
        if event.kind == "done":
            there.pop(event.port)
            if tally.left:
                there[second.port] = second

    batch = Batch(hub.bench(), "S", None, None, told, listed=lambda: list(there))
    batch.run()
    assert [(one.asset, one.mac) for one in batch.finished] == [
        ("L1", first.mac.hex()),
        ("L2", second.mac.hex()),
    ]


class Modem:
    """What else a computer has on a serial port: it answers whatever comes, and never as a board would."""

    def __enter__(self):
        self._inner, outer = os.openpty()
        tty.setraw(outer)
        self.port = os.ttyname(outer)
        self._outer = outer
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()
        return self

    def _answer(self):
        with suppress(OSError):
            while os.read(self._inner, 1024):
                os.write(self._inner, b"\r\nERROR\r\n")

    def __exit__(self, *_):
        os.close(self._outer)
        os.close(self._inner)


def test_a_batch_leaves_alone_what_is_no_board(hub):
    """A modem is not a node that failed, and it is said once; a port that is busy is tried until it opens."""
    hub.list(LIST)
    first, second = (hub.board(name, LORA) for name in "ab")
    with Modem() as modem, ExitStack() as busy:
        held = busy.enter_context(serial.serial_for_url(second.port, exclusive=True))
        there = [modem.port, first.port]
        told = []

        def note(event, tally):
            told.append((event.port, event.kind, event.step))
            if event.kind == "foreign" and event.port == modem.port:
                there.append(second.port)
            if event.kind == "foreign" and event.port == second.port:
                held.close()

        batch = Batch(hub.bench(), "S", None, None, note, listed=lambda: list(there))
        batch.run()
    tally = batch.tally()
    assert (tally.done, tally.failed, tally.left) == (2, 0, 0)
    of_modem = [(kind, step) for port, kind, step in told if port == modem.port]
    assert [kind for kind, _ in of_modem] == ["step", "foreign"]
    assert of_modem[1][1].startswith("not a board, or one that sleeps: unplug it")
    of_second = [(kind, step) for port, kind, step in told if port == second.port]
    assert [step for kind, step in of_second if kind == "foreign"][0].startswith("is busy: ")
    assert [kind for kind, _ in of_second].count("foreign") == 1 and of_second[-1][0] == "done"
