"""The vault: keys at rest, encrypted to those who may read them. Issuing a key needs no secret at all."""

from borne.fleet.vault.vault import Vault, create, fingerprint, home, open_vault, refuse_old

__all__ = ["Vault", "create", "fingerprint", "home", "open_vault", "refuse_old"]
