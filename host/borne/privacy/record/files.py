"""Reads what a record is made of, and writes it: Markdown, PDF and CSV in a folder for each language."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from borne.errors import SettingError, UserError
from borne.privacy.record.blocks import markdown, pdf, table_csv
from borne.privacy.record.documents import Fleet, documents
from borne_node import settings as node_settings
from borne_node.errors import SettingsError

_validate: Any = node_settings.validate


def settings(paths: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """(where, settings) out of files of one node, a list of nodes, or one a line. Raises SettingError, UserError."""
    for path in paths:
        for one in _nodes(path):
            yield str(path), one


def read(nodes: Iterable[tuple[str, Any]], facts: Path | None = None, report: Path | None = None) -> Fleet:
    """A fleet out of settings, each with where it is from, facts (TOML) and an attack report.

    Raises SettingError that names file or asset and field, UserError.
    """
    given = tuple(_checked(where, one) for where, one in nodes)
    known = _toml(facts) if facts else {}
    for name, value in known.items():
        if not isinstance(value, str):
            raise UserError(f"{facts}: {name} is no text")
    return Fleet(given, known, _json(report) if report else None)


def _nodes(path: Path) -> Iterator[Any]:
    text = _text(path)
    try:
        found = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError:
                    raise SettingError(f"{path}, line {number}: is no JSON") from None
        return
    yield from found if isinstance(found, list) else [found]


def _checked(where: str, given: Any) -> Mapping[str, Any]:
    try:
        return dict(_validate(given))
    except SettingsError as error:
        raise SettingError(f"{where}: {error}") from None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(path))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("attacks"), list):
        raise UserError(f"{path}: is no report of make privacy")
    return found


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8") from None


def write(fleet: Fleet, folder: Path, languages: Sequence[str], policy_hash: str | None = None) -> list[Path]:
    """Write every document below `folder`/LANGUAGE; returns the files. Raises UserError, before anything is written."""
    files: dict[Path, bytes] = {}
    for language in languages:
        for one in documents(fleet, language, policy_hash):
            place = folder / language / one.name
            files[place.with_suffix(".md")] = markdown(one.blocks).encode()
            files[place.with_suffix(".pdf")] = pdf(one.blocks, one.title, one.paper)
            for name, grid in one.grids.items():
                files[(place.parent / name).with_suffix(".csv")] = table_csv(grid).encode()
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    return list(files)
