"""`make bench`: every benchmark of this folder, one table, and build/bench.json.

A module here that has a function `rows()` is a benchmark: it returns dictionaries with name, value, unit, peer,
peer_value and ratio, the last three None where there is nothing to compare with. `python -m bench WORD` runs those
whose module name holds the word.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
REPORT = HERE.parent / "build" / "bench.json"


def main(words: list[str]) -> None:
    found: list[dict[str, Any]] = []
    for path in sorted(HERE.glob("*.py")):
        chosen = not words or any(word in path.stem for word in words)
        if path.stem.startswith("__") or not chosen or "def rows(" not in path.read_text():
            continue
        print(f"{path.stem} ...", file=sys.stderr, flush=True)
        found += import_module(f"bench.{path.stem}").rows()
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=2) + "\n")
    Console(width=120).print(table(found))


def table(rows: list[dict[str, Any]]) -> Table:
    shown = Table("figure", "value", "unit", "peer", "peer's value", "ratio", box=None, header_style="bold")
    for row in rows:
        cells = [row["name"], number(row["value"]), row["unit"], row.get("peer") or ""]
        shown.add_row(*cells, number(row.get("peer_value")), number(row.get("ratio")))
    return shown


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


main(sys.argv[1:])
