"""Decoded streams on their way out: lines for people, NDJSON, CSV, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from borne.decoding.report import Report
from borne.decoding.stream import Decoded, Uplinks, decode_lines, started
from borne.decoding.table import fields_of, layouts, prefix

_HEAD = ("device", "time", "started", "f_cnt", "rssi", "snr", "frequency", "gateways")
# Rows of a Parquet row group: large enough to compress well, small enough for flat memory.
_GROUP = 1 << 16


class Text(Protocol):
    """Where lines go: a text file or stdout."""

    def write(self, text: str, /) -> Any: ...

    def flush(self) -> Any: ...


@dataclass
class Summary:
    """What became of a stream."""

    reports: int = 0
    problems: int = 0
    duplicates: int = 0


TEXT_FORMS = ("table", "ndjson", "csv")


def convert(
    batches: Iterable[list[bytes]],
    to: str,
    out: Text,
    problem: Callable[[int, str], None],
    uplinks: Uplinks,
    *,
    history: bool = False,
) -> Summary:
    """Decode a stream into text of one of TEXT_FORMS, written out after each batch of lines.

    `problem` is called with number and text for each line that does not decode; what it raises ends the stream.
    """
    summary = Summary()
    write = {"table": people, "ndjson": ndjson, "csv": csv_lines}[to]
    write(_watched(batches, out, problem, uplinks, summary), out, history)
    out.flush()
    summary.duplicates = uplinks.duplicates
    return summary


def _watched(
    batches: Iterable[list[bytes]],
    out: Text,
    problem: Callable[[int, str], None],
    uplinks: Uplinks,
    summary: Summary,
) -> Iterator[Decoded]:
    for lines in batches:
        for one in decode_lines(lines, uplinks):
            if one.error is not None:
                summary.problems += 1
                problem(one.number, one.error)
            summary.reports += one.report is not None
            yield one
        out.flush()


def convert_to_parquet(
    batches: Iterable[list[bytes]],
    path: Path,
    problem: Callable[[int, str], None],
    uplinks: Uplinks,
    *,
    history: bool = False,
) -> Summary:
    """The same into a Parquet file, column-wise. Needs `borne[columns]`."""
    from borne.decoding.stream_columns import decode_tables, stream_schema

    summary = Summary()
    with Parquet(path, stream_schema(history)) as out:
        for table, problems in decode_tables(batches, uplinks, history=history):
            for number, text in problems:
                problem(number, text)
            out.write(table)
            summary.reports += table.num_rows
            summary.problems += len(problems)
    summary.duplicates = uplinks.duplicates
    return summary


def people(decoded: Iterable[Decoded], out: Text, history: bool = False) -> None:
    """Lines to read: when the window began (or when it was heard), who, what."""
    from borne.decoding.listen import shown

    for one in decoded:
        if one.report is None or one.uplink is None:
            continue
        for earlier in range(1 + (len(one.report.history) if history else 0)):
            report = at(one.report, earlier)
            when = iso(started(one.uplink, one.report, earlier)) or (one.uplink.time or "-")[:19]
            said = ", ".join(f"{value.name.replace('_', ' ')} {value.text}" for value in shown(report))
            out.write(f"{when:<20}  {one.uplink.device or '-':<16}  {report.kind:<12}  {said}\n")


def rows(decoded: Decoded, history: bool = False) -> Iterator[dict[str, Any]]:
    """The report of a line as flat dictionaries; with `history` also one for each earlier window."""
    report, uplink = decoded.report, decoded.uplink
    if report is None or uplink is None:
        return
    head: dict[str, Any] = {name: getattr(uplink, name, None) for name in _HEAD}
    for earlier in range(1 + (len(report.history) if history else 0)):
        head["started"] = iso(started(uplink, report, earlier))
        yield head | ({"earlier": earlier} if history else {}) | at(report, earlier).flat()


def at(report: Report, earlier: int) -> Report:
    """The report as of an earlier window."""
    if not earlier:
        return report
    return Report(report.port, report.earlier(earlier - 1), report.history[earlier - 1])


def iso(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ndjson(decoded: Iterable[Decoded], out: Text, history: bool = False) -> None:
    """A JSON object a line: what the network said, then port, kind, window and the values by name."""
    for one in decoded:
        for row in rows(one, history):
            out.write(msgspec.json.encode(row).decode() + "\n")


def csv_header(history: bool = False) -> list[str]:
    """The columns of the CSV, the same for every stream: values carry the kind before the name, as in fill_level."""
    names = [prefix(layout) + field.name for layout in layouts().values() for field in fields_of(layout)]
    return [*_HEAD, *(["earlier"] if history else []), "port", "kind", "window", *dict.fromkeys(names)]


def csv_lines(decoded: Iterable[Decoded], out: Text, history: bool = False) -> None:
    """CSV (RFC 4180) with a header; unknown is empty, suppressed and overflow are these words."""
    header = csv_header(history)
    shared = set(header[: header.index("window") + 1])
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, header)
    writer.writeheader()
    out.write(buffer.getvalue())
    for one in decoded:
        buffer.seek(0)
        buffer.truncate()
        for row in rows(one, history):
            before = prefix(layouts()[row["port"]])
            fields = {before + name: _csv(value) for name, value in row.items() if name not in shared}
            writer.writerow({name: row[name] for name in shared} | fields)
        out.write(buffer.getvalue())


def _csv(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class Parquet:
    """A Parquet file that takes tables of one schema; nothing is left under its name unless all went well."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._tables: list[Any] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(self._part, schema, compression="zstd")

    def write(self, table: Any) -> None:
        self._tables.append(table)
        self._rows += table.num_rows
        if self._rows >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.concat_tables(self._tables).combine_chunks())
        self._tables, self._rows = [], 0

    def __enter__(self) -> Parquet:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
