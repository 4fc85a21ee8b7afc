"""borne fleet vault: where the keys are, and who may read them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from borne.cli.fleet.options import IdentityOption, VaultOption, WhoOption, asking
from borne.errors import VaultError
from borne.fleet import vault as library
from borne.fleet.vault import identities

vault = typer.Typer(no_args_is_help=True, help="The keys at rest: create, unlock, and say who may read them.")

_At = VaultOption


@vault.command()
def create(
    recipient: Annotated[
        list[str] | None,
        typer.Option(
            help="Public key (age1..., ssh-ed25519 ...) of who may read, '# name' behind it. Again for more."
        ),
    ] = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Only the recipients may read; no passphrase opens it.")
    ] = False,
    path: _At = None,
) -> None:
    """Make a vault. Its passphrase is asked for twice, or taken from BORNE_VAULT_PASSPHRASE."""
    library.refuse_old(path)
    made = library.create(path, None if no_passphrase else _new_passphrase(), recipient or ())
    typer.echo(f"{made.path}: made; back it up with `borne fleet backup`, and keep the passphrase elsewhere")


def _new_passphrase() -> str:
    def ask() -> str:
        return str(typer.prompt("new passphrase", hide_input=True, confirmation_prompt=True, err=True))

    return identities.passphrase(ask if sys.stdin.isatty() else None)


@vault.command()
def unlock(identity: IdentityOption = None, path: _At = None) -> None:
    """Ask for the passphrase once, and keep the key in this system's keyring until `lock`."""
    opened = library.open_vault(path)
    opened.unlock(identity, asking())
    identities.remember(opened.path, opened.identity())
    typer.echo(f"{opened.path}: is unlocked until `borne fleet vault lock`")


@vault.command()
def lock(path: _At = None) -> None:
    """Take the key out of this system's keyring."""
    there = identities.forget(library.open_vault(path).path)
    typer.echo("locked" if there else "was locked already")


@vault.command()
def check(identity: IdentityOption = None, path: _At = None) -> None:
    """Open every record, and say how many there are."""
    opened = library.open_vault(path)
    opened.unlock(identity, asking())
    typer.echo(f"{opened.path}: {opened.check()} records, all of them readable")


@vault.command()
def recipients(
    add: Annotated[str | None, typer.Option(help="Public key of somebody who may read from now on.")] = None,
    remove: Annotated[str | None, typer.Option(help="Public key of somebody who may no longer.")] = None,
    identity: IdentityOption = None,
    path: _At = None,
    who: WhoOption = None,
) -> None:
    """List who may read the keys; add or remove somebody, which encrypts all of them anew."""
    opened = library.open_vault(path, who)
    if add is not None and remove is not None:
        raise VaultError("vault: add or remove, one at a time")
    if add is not None or remove is not None:
        opened.unlock(identity, asking())
        count = opened.add_recipient(add) if add is not None else opened.remove_recipient(str(remove))
        print(f"borne: {count} records encrypted anew", file=sys.stderr)
    for line in opened.recipients:
        typer.echo(line)
