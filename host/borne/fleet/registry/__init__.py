"""The registry: assets, their nodes, and what became of both. SQLite by default, PostgreSQL by URL."""

from borne.fleet.registry.store import Registry, Stamp, exists, open_registry, scratch

__all__ = ["Registry", "Stamp", "exists", "open_registry", "scratch"]
