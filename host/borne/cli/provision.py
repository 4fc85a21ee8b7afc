"""borne provision: tell a node what it is and how it reaches its network, out of the list or by options."""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from borne.cli import provision_options as options
from borne.cli.key_file import KeyFile
from borne.errors import SettingError, UserError
from borne.fleet.provision import check_settings
from borne.fleet.provision import provision as write


@options.with_options
def provision(
    asset: Annotated[
        str | None, typer.Argument(help="Asset of the list whose node the board becomes.", show_default=False)
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port", "-p", help="Device, socket://host:port or rfc2217://host:port; --batch: again for more."
        ),
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="One board after another, for the list's next asset.")
    ] = False,
    site: Annotated[str | None, typer.Option(help="--batch: only assets of this site.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="--batch: end after so many boards.")] = None,
    board: Annotated[str | None, typer.Option(help="Board, where list and site name none.")] = None,
    image: Annotated[Path | None, typer.Option(help="MicroPython image, instead of the board's own.")] = None,
    take: Annotated[
        bool, typer.Option("--take", help="Also a board that is a node of another list.")
    ] = False,
    self_test: Annotated[
        bool,
        typer.Option("--self-test/--no-self-test", help="Ask the parts of the node when it is provisioned."),
    ] = True,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Say first what was broken off. It is gone on with anyway, also without this."
        ),
    ] = False,
    uplink: Annotated[
        str | None,
        typer.Option(help="ASSET: wait for its first report on this broker, mqtt://[USER@]HOST[:PORT]."),
    ] = None,
    wait: Annotated[float, typer.Option(help="--uplink: for so many seconds.", min=1)] = 120.0,
    labels: Annotated[
        Path | None, typer.Option(help="--batch: write each node's label (PDF) into this folder.")
    ] = None,
    stock: Annotated[str, typer.Option(help="--labels: what is printed on.")] = "DK-22205",
    print_with: Annotated[
        str | None, typer.Option("--print", help='--labels: command that prints the file: "lp -d tape".')
    ] = None,
    registry: Annotated[str | None, typer.Option(help="As for `borne fleet`.")] = None,
    vault: Annotated[Path | None, typer.Option(help="As for `borne fleet`.")] = None,
    identity: Annotated[Path | None, typer.Option(help="As for `borne fleet vault`.")] = None,
    who: Annotated[str | None, typer.Option(help="Store this name in the history.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as a JSON object.")] = False,
    **given: Any,
) -> None:
    """Write settings and secrets to a node, read them back, and start it.

    With ASSET or --batch all comes from registry and vault, and the board is flashed where it has to be; broken off
    anywhere, the same command goes on. Without, it comes from options. Passwords and keys come from a file, from
    BORNE_WIFI_PASSWORD, BORNE_MQTT_PASSWORD and BORNE_APP_KEY, or are asked for.
    """
    if asset is None and not batch:
        _by_options(_only(port), given, as_json)
        return
    try:
        from borne.cli import provision_fleet
    except ModuleNotFoundError as error:
        raise UserError(f"provision ASSET needs {error.name}: pip install 'borne[fleet]'") from None

    bench = provision_fleet.bench(
        registry, vault, identity, who, options.at_hand(given), board, image, take, self_test
    )
    if batch and asset is not None:
        raise SettingError("batch: takes the next free assets of the list; leave ASSET out, or --batch")
    if resume:
        provision_fleet.say_begun(bench, asset, site)
    if batch:
        printer = provision_fleet.printer(bench, labels, stock, print_with)
        provision_fleet.batch(bench, port, site, board, count, printer, as_json)
    else:
        provision_fleet.one(bench, str(asset), port, uplink, wait, as_json)


def _only(port: list[str] | None) -> str:
    if not port or len(port) > 1:
        raise SettingError("port: give one: --port")
    return port[0]


def _by_options(port: str, given: dict[str, Any], as_json: bool) -> None:
    settings = options.settings(given)
    # Before anybody is asked for a password.
    check_settings(settings)
    secrets = options.secrets(given, settings["link"], bool(settings.get("mqtt_user")))
    key = KeyFile(given["new_app_key"], secrets["app_key"]) if given["new_app_key"] else None

    def tell(step: str) -> None:
        if key:
            key.follow(step)
        if not as_json:
            _step(step)

    with key or nullcontext():
        done = write(port, settings, secrets, tell)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done)))
        return
    by_radio = f"; DevEUI {settings['dev_eui'].upper()}" if settings["link"] == "lorawan" else ""
    typer.echo(
        f"{done.port}: {done.kind} node {done.name} is provisioned; settings {done.digest[:8]}{by_radio}"
    )


def _step(step: str) -> None:
    print(f"  {step} ...", file=sys.stderr)
