"""The columnar decoder inside Spark, DuckDB and Polars, as docs/distributed.md shows it."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from borne.decoding import decode, encode
from borne.decoding.columns import batches_schema, decode_batches, decode_columns
from borne.decoding.spark import decode_frame

PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"


def rows(count: int) -> list[tuple[str, bytes, int]]:
    rng = random.Random(5)
    fills = [(f"bin-{n}", encode(30, n, (5 * rng.randrange(21), 20, False, None)), 30) for n in range(count)]
    zones = [(f"zone-{n}", encode(10, n, (rng.randrange(9), 8)), 10) for n in range(count)]
    return [*fills, *zones, ("odd", b"\xff", 30), ("stranger", b"\x00", 158)]


@pytest.fixture
def uplinks(tmp_path: Path) -> Path:
    devices, payloads, ports = zip(*rows(300), strict=True)
    table = pa.table(
        {"device": devices, "payload": pa.array(payloads, pa.binary()), "port": pa.array(ports, pa.int32())}
    )
    (tmp_path / "uplinks").mkdir()
    pq.write_table(table, tmp_path / "uplinks" / "part.parquet")
    return tmp_path


def check(decoded: list[dict[str, Any]]) -> None:
    by_device = {row["device"]: row for row in decoded}
    assert len(by_device) == 602
    for device, payload, port in rows(300)[:600]:
        report, row = decode(payload, port), by_device[device]
        said = (
            ("fill_level", report.value("level"))
            if port == 30
            else ("parking_zone_occupied", report.value("occupied"))
        )
        assert row[said[0]] == said[1] and row["error"] is None and row["kind"] == report.kind
    assert by_device["odd"]["error"] == "port 30, byte 1: must have 3 bytes"
    assert "format version 3" in by_device["stranger"]["error"]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with pytest.MonkeyPatch.context() as patch:
        # Executors must run the interpreter that has borne; the driver is found without asking a name server.
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = SparkSession.builder.master("local[2]").appName("borne")
        builder = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
        builder = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        session = builder.getOrCreate()
        yield session
        session.stop()


def test_spark(spark: SparkSession, uplinks: Path) -> None:
    reports = decode_frame(spark.read.parquet(str(uplinks / "uplinks")).repartition(2))
    check([row.asDict() for row in reports.collect()])
    good = reports.where("error is null").groupBy("kind").count().collect()
    assert {row["kind"]: row["count"] for row in good} == {"fill": 300, "parking zone": 300}


def test_duckdb(uplinks: Path) -> None:
    source = duckdb.connect().sql(f"select * from '{uplinks}/uplinks/*.parquet'").to_arrow_reader(100)
    kept = [field for field in source.schema if field.name not in ("payload", "port")]
    reports = pa.RecordBatchReader.from_batches(batches_schema(kept), decode_batches(source))
    table = duckdb.from_arrow(reports).to_arrow_table()
    check(table.to_pylist())


def test_polars(uplinks: Path) -> None:
    frame = pl.read_parquet(uplinks / "uplinks" / "*.parquet")
    reports = pl.from_arrow(decode_columns(frame["payload"].to_arrow(), frame["port"].to_arrow()))
    assert isinstance(reports, pl.DataFrame)
    check(
        [{"device": device, **row} for device, row in zip(frame["device"], reports.to_dicts(), strict=True)]
    )


@pytest.mark.parametrize("engine", ["DuckDB", "Polars"])
def test_the_page_s_code_runs(engine: str, uplinks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = PAGE.read_text().split(f"## {engine}")[1]
    (code,) = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.S)
    monkeypatch.chdir(uplinks)
    exec(compile(code, str(PAGE), "exec"), {})


def test_the_page_s_spark_code_runs(
    spark: SparkSession, uplinks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", PAGE.read_text().split("## Spark")[1].split("\n## ")[0], re.S
    )
    code = code.replace('"uplinks/"', repr(f"{uplinks}/uplinks/")).replace(
        '"reports/"', repr(f"{uplinks}/reports/")
    )
    exec(compile(code, str(PAGE), "exec"), {"spark": spark})
    assert pq.read_table(uplinks / "reports").num_rows == 600
