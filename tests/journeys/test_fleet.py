"""A street from its list to its reports: 24 assets, 24 boards by 8, a cable pulled, a laptop dead, a node replaced."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from fleet_bench import Hub, digest, stored
from own_brokers import town_broker
from things_stack_server import TOKEN, ThingsStackServer

from borne import boards
from borne.broker import Broker
from borne.decoding.listen import Subscriber
from borne.fleet import ear, hearing
from borne.fleet.batch import Batch
from borne.fleet.networks.mosquitto import agrees
from borne.fleet.registry import Stamp, nodes, status
from borne.fleet.registry.sites import Site
from borne.fleet.replacing import replace
from borne.virtual import SimClock, VirtualBoard
from borne.virtual.street.network import Network
from borne.virtual.street.nodes import radio, with_radio
from borne.virtual.wiring import Wiring

BY_WIFI, BY_RADIO = 12, 12
LORA, WIFI = "ttgo-lora32-v21", "esp32-devkitc"
SSID, PASSWORD = "Mairie", "sesame, open"
SITE = "Lilas"
LIMIT_S = 120
START = 1_800_000_000


def rows():
    """As a town writes its list: in French, with decimal commas."""
    yield "Numéro;Type;Carte;Liaison;Réseau;Rue;Latitude;Longitude;Profondeur;Site"
    for n in range(BY_WIFI):
        yield f"BAC {n};conteneur;{WIFI};wifi;courtier;Quai des Tanneurs {n};48,85{n:02};2,35{n:02};{1000 + n};{SITE}"
    for n in range(BY_RADIO):
        yield f"LAMP/{n};lampadaire;{LORA};LoRaWAN;ville;Rue de l'Église {n};48,86{n:02};2,36{n:02};;{SITE}"


class Street(Hub):
    """All that the journey is about, from step to step."""

    def __init__(self, folder, stack):
        super().__init__(folder)
        self.stack = stack
        self.broker = stack.enter_context(town_broker(self.folder))
        self.secrets = {"wifi_password": PASSWORD.encode()}

    def plug(self, name):
        return self.board(name, access_points={SSID: PASSWORD})

    def batch(self, boards=None, **more):
        ports = [one.port for one in boards or self.boards]
        made = Batch(self.bench(secrets=self.secrets, board=None), SITE, None, ports, **more)
        made.run()
        return made

    def standings(self):
        with self.registry.reading() as db:
            return list(nodes.find(db))

    def board_of(self, standing):
        return next(one for one in self.boards if one.mac.hex() == standing.mac)

    @contextmanager
    def at_its_post(self, board, kind, chip, clock):
        """The same flash with a radio and on another clock; back on the bench afterwards."""
        board.close()
        with VirtualBoard(
            board.folder, wiring=with_radio(Wiring(), kind, chip), clock=clock, mac=board.mac, patience=10.0
        ) as posted:
            posted.power_on()
            yield
        back = VirtualBoard(board.folder, mac=board.mac)
        self.boards[self.boards.index(board)] = back


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with ExitStack() as stack:
        made = Street(tmp_path_factory.mktemp("street") / "hub", stack)
        stack.callback(made.close)
        yield made


def agree(street):
    """Registry, vault and nodes say the same, and no key is there twice."""
    vault = street.unlocked()
    keys = []
    for one in street.standings():
        settings, secrets = stored(street.board_of(one))
        assert (one.digest, settings["name"]) == (digest(settings), one.node.name)
        name = "app_key" if one.asset.link == "lorawan" else "mqtt_password"
        assert vault.read(one.key_record) == secrets[name]
        keys.append(secrets[name])
    every = [vault.read(name) for name in vault.records()]
    assert len(set(every)) == len(every) and set(keys) <= set(every)


def test_1_the_list(street):
    street.list(
        "\n".join(rows()) + "\n",
        Site(SITE, wifi_ssid=SSID, mqtt=f"mqtt://{street.broker.host}:{street.broker.port}", ntp_host="ntp"),
    )
    assert [one.state for one in street.standings()] == ["planned"] * 24


def test_2_the_laptop_dies_while_eight_boards_are_flashed(street):
    """The real command, and the real end: SIGKILL to all of its processes at once."""
    for n in range(BY_WIFI + BY_RADIO):
        street.plug(f"board-{n}")
    ports = [word for one in street.boards[:8] for word in ("--port", one.port)]
    command = [
        sys.executable,
        "-m",
        "borne",
        "provision",
        "--batch",
        "--site",
        SITE,
        "--no-self-test",
        *ports,
    ]
    environment = {
        **os.environ,
        "BORNE_REGISTRY": str(street.folder / "registry.sqlite"),
        "BORNE_VAULT": str(street.vault.path),
        "BORNE_WIFI_PASSWORD": PASSWORD,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        said = []
        while sum(line.endswith("flash\n") for line in said) < 5:
            said.append(process.stderr.readline())
            assert said[-1], said
        os.killpg(process.pid, signal.SIGKILL)
    reserved = [one for one in street.standings() if one.mac]
    assert 5 <= len(reserved) <= 8, said
    assert PASSWORD not in " ".join(command)


def test_3_twenty_four_boards_by_eight_and_one_cable_is_pulled(street):
    unlucky = street.boards[-1]

    def told(event, tally):
        if event.port == unlucky.port and event.step == "flash" and event.fraction > 0.2:
            unlucky.power_off()

    first = street.batch(told=told)
    assert [port for port, _ in first.failures] == [unlucky.port], first.failures
    assert first.tally().done == 23
    unlucky.power_on()
    second = street.batch()
    assert (second.tally().done, second.tally().failed, second.tally().left) == (1, 0, 0)
    assert [one.outcome for one in second.finished].count("already so") == 23
    agree(street)
    with street.registry.reading() as db:
        counts = {(one.kind, one.state): one.assets for one in status.counts(db)}
    assert counts == {("fill", "provisioned"): BY_WIFI, ("light", "provisioned"): BY_RADIO}


def test_4_labels(street, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "borne", "fleet", "label", "-o", str(tmp_path / "labels.pdf")),
            *("--registry", str(street.folder / "registry.sqlite")),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("24 labels L7160")
    assert (tmp_path / "labels.pdf").read_bytes().startswith(b"%PDF")


def register(street, network):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "borne", "fleet", "register", "--network", network),
            *("--networks", str(street.folder / "networks.toml"), "--identity", str(street.identity)),
            *("--vault", str(street.vault.path), "--registry", str(street.folder / "registry.sqlite")),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_5_registration(street):
    """The Things Stack for those by LoRaWAN, password and ACL files of our own broker for the others; twice is once."""
    street.network = server = street.stack.enter_context(ThingsStackServer())
    (street.folder / "token").write_text(TOKEN)
    (street.folder / "token").chmod(0o600)
    (street.folder / "networks.toml").write_text(
        f'[ville]\ntype = "tts"\nurl = "{server.url}"\napplication = "ville-capteurs"\ntoken_file = "token"\n'
        '[courtier]\ntype = "mosquitto"\npasswords = "passwords"\nacl = "acl"\n'
    )
    assert f"ville: {BY_RADIO} created" in register(street, "ville")
    assert f"courtier: {BY_WIFI} created" in register(street, "courtier")
    assert f"ville: {BY_RADIO} same" in register(street, "ville")
    registered(street)


def registered(street):
    """Both networks have the nodes of the list and no others, each with the key that the vault has."""
    vault = street.unlocked()
    at = street.standings()
    identities, keys = (street.network.registries[name] for name in ("is", "js"))
    at_the_stack = {}
    for name, one in identities.items():
        key = keys[name]["root_keys"]["app_key"]["key"]
        at_the_stack[one["ids"]["dev_eui"].lower()] = bytes.fromhex(key)
    assert at_the_stack == {one.dev_eui: vault.read(one.key_record) for one in at if one.dev_eui}
    lines = (street.folder / "passwords").read_text().splitlines()
    accounts = dict(line.split(":", 1) for line in lines)
    assert accounts.keys() == {"us"} | {one.node.name for one in at if one.asset.link == "wifi"}
    for one in at:
        if one.asset.link == "wifi":
            assert agrees(accounts[one.node.name], vault.read(one.key_record).decode())


def hear_all(street, subscriber, count):
    """First messages of so many nodes, as `borne fleet listen` takes them."""
    found = {}
    until = time.monotonic() + LIMIT_S
    while len(found) < count and time.monotonic() < until:
        message = subscriber.next(1.0)
        if message is not None:
            uplink = message.uplink
            heard = hearing.hear(street.registry, uplink.device, uplink.port, uplink.payload, Stamp())
            found.setdefault(heard.standing.asset.asset, heard)
    return found


def test_6_first_reports_by_wifi_come_with_asset_and_place(street):
    """Each node logs in with its own account, out of the files that `borne fleet register` wrote for Mosquitto."""
    by_wifi = [one for one in street.standings() if one.asset.link == "wifi"]
    street.broker.reload({one.node.name: street.unlocked().read(one.key_record) for one in by_wifi})
    at = Broker(street.broker.host, street.broker.port, user="us")
    with Subscriber(at, street.broker.password, None, ear.TOPICS, ear.take) as subscriber:
        for one in by_wifi:
            street.board_of(one).power_off()
            street.board_of(one).power_on()
        found = hear_all(street, subscriber, len(by_wifi))
    assert len(found) == len(by_wifi)
    for one in by_wifi:
        heard = found[one.asset.asset]
        assert heard.report is not None and not heard.differs
        assert heard.standing.asset.street == one.asset.street
        street.board_of(one).power_off()
    assert {one.state for one in street.standings() if one.asset.link == "wifi"} == {"seen"}


def test_7_first_reports_by_lorawan_after_a_join_with_the_vaults_keys(street):
    """The same flash, carried to its post: another clock, a radio, and a network server that knows the keys."""
    vault = street.unlocked()
    kind = boards.load(LORA)
    clock = SimClock(START)
    by_radio = [one for one in street.standings() if one.dev_eui]
    found = {}
    with ExitStack() as stack:
        network = Network(1, clock, stack)
        for number, one in enumerate(by_radio):
            chip = radio(kind)
            network.add(number, one.node.name, chip, one.dev_eui, vault.read(one.key_record).hex().encode())
            # They go up one after another; all at once, half of the joins would drown in the other half.
            stack.enter_context(street.at_its_post(street.board_of(one), kind, chip, clock))
            clock.run_for(20)
        for _ in range(200):
            clock.run_for(60)
            for heard, at in network.arrived():
                taken = hearing.hear(street.registry, heard.name, heard.port, heard.payload, Stamp(at))
                found.setdefault(taken.standing.asset.asset, taken)
            if len(found) == len(by_radio):
                break
    assert len(found) == len(by_radio) == BY_RADIO
    for one in by_radio:
        heard = found[one.asset.asset]
        assert heard.report is not None and not heard.differs
        assert heard.standing.asset.street == one.asset.street
    assert {one.state for one in street.standings()} == {"seen"}


def test_8_a_node_is_replaced_and_a_row_is_changed(street):
    standings = {one.asset.asset: one for one in street.standings()}
    old = standings["BAC 3"]
    replace(street.registry, "BAC 3", "vandalised")
    street.boards.remove(street.board_of(old))
    street.plug("spare")
    changed = "\n".join(rows()).replace(";1005;", ";2005;") + "\n"
    street.list(changed)
    plugged = [street.boards[-1]]
    for name in ("BAC 5", *random.Random(1).sample(sorted(standings.keys() - {"BAC 3", "BAC 5"}), 2)):
        plugged.append(street.board_of(standings[name]))
    for one in plugged:
        one.power_off()
        one.power_on()
    work = street.batch(plugged)
    outcomes = {one.asset: one.outcome for one in work.finished}
    assert outcomes["BAC 3"] == outcomes["BAC 5"] == "provisioned"
    assert work.tally().failed == 0
    now = {one.asset.asset: one for one in street.standings()}
    assert now["BAC 3"].mac != old.mac and now["BAC 3"].key_print != old.key_print
    assert now["BAC 3"].node.name == old.node.name
    assert json.loads(now["BAC 5"].settings)["depth_mm"] == 2005
    assert "courtier: 1 changed" in register(street, "courtier")
    with street.registry.reading() as db:
        events = [line["event"] for line in status.history_of(db, old.asset_id)]
    assert events[-6:] == ["retired", "reserved", "flashed", "key", "provisioned", "registered"]


def test_9_registry_vault_nodes_and_networks_agree(street):
    assert len(street.standings()) == 24
    agree(street)
    registered(street)
