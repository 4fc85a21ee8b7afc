"""borne deploy: new firmware onto a node that runs."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from borne.cli import attach
from borne.cli.bar import Bar
from borne.flashing import deploy as library
from borne.flashing.deploy import Deployed


def deploy(
    port: attach.Port,
    via: attach.Way = "mpremote",
    wait: attach.Wait = attach.WAIT_SECONDS,
    restart: Annotated[bool, typer.Option(help="Start the node again afterwards.")] = True,
    as_json: attach.Json = False,
) -> None:
    """Send a node the firmware files that differ, and switch to them all at once.

    Its settings, its board file and what waits in its outbox stay. Pull the cable when you like: the node runs its old
    firmware or its new one, and the same command goes on where it was.
    """
    with Bar("deploy") as bar, attach.repl(port, wait, via) as opened:
        done = library.deploy(opened, progress=bar.follow, restart=restart)
    typer.echo(json.dumps(dataclasses.asdict(done)) if as_json else _said(done))


def _said(done: Deployed) -> str:
    if not done.changed and not done.removed:
        return f"{done.port}: has firmware {done.version} as it is here; nothing was written"
    what = f"{len(done.changed)} files ({done.bytes} bytes)"
    gone = f", {len(done.removed)} removed" if done.removed else ""
    return f"{done.port}: firmware {done.version}: {what} changed{gone}"
