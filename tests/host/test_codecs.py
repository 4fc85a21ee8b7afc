"""What is generated for others: JavaScript in three engines, the dictionary, the device repositories; no drift."""

from __future__ import annotations

import ast
import json
import random
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import dukpy
import esprima
import pytest
import quickjs
import typer
import yaml
from typer.testing import CliRunner

from borne.cli.codec import codec
from borne.decoding import DecodeError, Report, codecs, decode, dictionary, repositories
from borne.decoding.table import layouts

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "reports"
REMAKE = "run: borne codec --for {0} -o {1}"


def vectors(sort: str) -> list[tuple[int, bytes]]:
    found = []
    for path in sorted(VECTORS.glob("*.json")):
        found += [(one["port"], bytes.fromhex(one["payload"])) for one in json.loads(path.read_text())[sort]]
    assert found
    return found


def history_of(report: Report) -> dict[str, Any]:
    rows = []
    for n, values in enumerate(report.history):
        row = Report(report.port, report.earlier(n), values).flat()
        rows.append({name: value for name, value in row.items() if name not in ("port", "kind")})
    return {"history": rows} if rows else {}


def expected(port: int, payload: bytes) -> dict[str, Any]:
    """What a TS013 decoder answers."""
    try:
        report = decode(payload, port)
    except DecodeError as error:
        return {"errors": [str(error)]}
    return {"data": report.flat() | history_of(report)}


def in_node(source: str, inputs: list[dict[str, Any]], function: str = "decodeUplink") -> list[Any]:
    node = shutil.which("node")
    assert node, "node is not installed"
    read, write = "JSON.parse(require('fs').readFileSync(0))", "console.log(JSON.stringify"
    script = f"{source}\nvar all = {read};\n{write}(all.map({function})));"
    done = subprocess.run(
        [node, "-e", script], input=json.dumps(inputs), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: list[Any] = json.loads(done.stdout)
    return answer


def in_quickjs(source: str, inputs: list[dict[str, Any]], function: str = "decodeUplink") -> list[Any]:
    context = quickjs.Context()
    context.eval(source)
    answer: list[Any] = json.loads(context.eval(f"JSON.stringify({json.dumps(inputs)}.map({function}))"))
    return answer


def in_duktape(source: str, inputs: list[dict[str, Any]], function: str = "decodeUplink") -> list[Any]:
    answer: list[Any] = dukpy.evaljs(f"{source}\n{json.dumps(inputs)}.map({function})")
    return answer


ENGINES: dict[str, Callable[..., list[Any]]] = {"node": in_node, "quickjs": in_quickjs, "duktape": in_duktape}


def asked(pairs: list[tuple[int, bytes]]) -> list[dict[str, Any]]:
    return [{"fPort": port, "bytes": list(payload)} for port, payload in pairs]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("server", ["tts", "chirpstack", "thingpark"])
def test_every_vector_is_decoded_as_in_python(engine: str, server: str) -> None:
    pairs = vectors("accept") + vectors("reject")
    answers = ENGINES[engine](codecs.javascript(server), asked(pairs))
    for (port, payload), answer in zip(pairs, answers, strict=True):
        assert answer == expected(port, payload), (port, payload.hex())


@pytest.mark.parametrize("engine", ENGINES)
def test_any_bytes_decode_or_are_refused_as_in_python(engine: str) -> None:
    rng = random.Random(11)
    ports = [*layouts(), *layouts(), 0, 4, 158, 255]
    sizes = [0, 1, 3, 3, 4, 4, 5, 7, 8, 10, 12, 14]
    pairs = [(rng.choice(ports), rng.randbytes(rng.choice(sizes))) for _ in range(5000)]
    for (port, payload), answer in zip(
        pairs, ENGINES[engine](codecs.javascript("tts"), asked(pairs)), strict=True
    ):
        assert answer == expected(port, payload), (port, payload.hex())


@pytest.mark.parametrize("engine", ENGINES)
def test_downlinks_are_encoded_and_decoded(engine: str) -> None:
    source = codecs.javascript("tts")
    commands = [(port, payload) for port, payload in vectors("accept") if port == 5]
    data = [expected(port, payload) for port, payload in commands]
    assert ENGINES[engine](source, data, "encodeDownlink") == [
        {"bytes": list(payload), "fPort": 5} for _, payload in commands
    ]
    assert ENGINES[engine](source, asked(commands), "decodeDownlink") == data


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"command": "sing"}, 'port 5, byte 0, bit 7: command cannot be "sing"'),
        ({"command": None}, "port 5, byte 0, bit 7: command cannot be null"),
        ({"command": "set", "setting": "depth_mm"}, "port 5, byte 2, bit 7: value is missing"),
        (
            {"command": "set", "setting": "depth_mm", "value": 65536},
            "port 5, byte 2, bit 7: value cannot be 65536",
        ),
        (
            {"command": "set", "setting": "depth_mm", "value": 1.5},
            "port 5, byte 2, bit 7: value cannot be 1.5",
        ),
        (
            {"command": "set", "setting": "epsilon", "value": 1},
            'port 5, byte 1, bit 7: setting cannot be "epsilon"',
        ),
    ],
)
def test_a_downlink_that_cannot_be_said_is_an_error(data: dict[str, Any], error: str) -> None:
    assert in_quickjs(codecs.javascript("tts"), [{"data": data}], "encodeDownlink") == [{"errors": [error]}]


def test_the_things_stack_gets_normalised_payloads() -> None:
    source = codecs.javascript("tts")
    fill, health = (
        expected(30, bytes.fromhex("0a3bd0")),
        {"data": {"kind": "health", "battery": 3300, "temperature": 21}},
    )
    answers = in_quickjs(
        source, [fill, health, {"data": {"kind": "fill", "temperature": None}}], "normalizeUplink"
    )
    assert answers == [{"data": {"air": {"temperature": 21}}}, {"data": {"battery": 3.3}}, {"data": {}}]


def test_thingpark_loads_a_module() -> None:
    source = "var exports = {};\n" + codecs.javascript("thingpark")
    assert "decodeUplink" in in_quickjs(
        source, ["decodeUplink"], "function (name) { return exports[name].name; }"
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_live_objects_gets_json_as_text(engine: str) -> None:
    call = "function (pair) { return decode(pair[1], {metadata: {network: {lora: {port: pair[0]}}}}); }"
    pairs = vectors("accept") + vectors("reject")
    inputs: Any = [[port, payload.hex().upper()] for port, payload in pairs]
    answers = ENGINES[engine](codecs.javascript("liveobjects"), inputs, call)
    for (port, payload), answer in zip(pairs, answers, strict=True):
        right = expected(port, payload)
        assert json.loads(answer) == (right["data"] if "data" in right else {"error": right["errors"][0]})
    odd = ENGINES[engine](codecs.javascript("liveobjects"), [[30, "0a3bd"], [30, "zz"]], call)  # type: ignore[list-item]
    assert [json.loads(one) for one in odd] == [{"error": "the payload is no hex"}] * 2


# ECMA-262 5.1, clauses 7 to 14: what a program may be made of.
ES5_NODES = set(
    """Program FunctionDeclaration FunctionExpression VariableDeclaration VariableDeclarator EmptyStatement
    BlockStatement ExpressionStatement IfStatement ForStatement ForInStatement WhileStatement DoWhileStatement
    ContinueStatement BreakStatement ReturnStatement WithStatement SwitchStatement SwitchCase LabeledStatement
    ThrowStatement TryStatement CatchClause DebuggerStatement ThisExpression Identifier Literal ArrayExpression
    ObjectExpression Property UnaryExpression UpdateExpression BinaryExpression LogicalExpression
    AssignmentExpression ConditionalExpression CallExpression NewExpression MemberExpression SequenceExpression
    Directive RegexLiteral""".split()  # noqa: SIM905 - a list of words
)
# Members that the codec uses, all of ECMA-262 5.1, clause 15, and the fields of our own objects.
ES5_MEMBERS = {
    *(
        "hasOwnProperty",
        "floor",
        "pow",
        "min",
        "toString",
        "forEach",
        "map",
        "reduce",
        "concat",
        "push",
        "length",
    ),
    *("indexOf", "stringify", "test", "substr"),
}


def walk(node: Any) -> Any:
    if isinstance(node, list):
        for one in node:
            yield from walk(one)
    elif hasattr(node, "type"):
        yield node
        for one in vars(node).values():
            yield from walk(one)


@pytest.mark.parametrize("server", codecs.SERVERS)
def test_the_codec_is_es5_and_small_and_knows_no_clock(server: str) -> None:
    source = codecs.javascript(server)
    assert len(source.encode()) < 40_960  # The Things Stack's limit for a payload formatter
    assert source.isascii()
    nodes = list(walk(esprima.parseScript(source)))
    assert {node.type for node in nodes if node.type} <= ES5_NODES  # the parser's regex values have none
    assert {node.kind for node in nodes if node.type == "VariableDeclaration"} == {"var"}
    for node in nodes:
        if node.type == "Property":
            assert not (node.shorthand or node.computed or node.method)
        if (
            node.type == "CallExpression"
            and node.callee.type == "MemberExpression"
            and not node.callee.computed
        ):
            assert node.callee.property.name in ES5_MEMBERS, node.callee.property.name
        if node.type == "Identifier":
            assert node.name not in ("Date", "Intl", "eval", "Function", "setTimeout")
    assert "Locale" not in source and "@" not in source


def test_each_field_stands_in_the_codec_with_its_unit() -> None:
    source = codecs.javascript("tts")
    for layout in layouts().values():
        for field in layout.fields:
            assert f'name: "{field.name}"' in source and field.text in source
            assert field.unit is None or f"{field.text}, {field.unit}" in source


@pytest.mark.parametrize("server", codecs.SERVERS)
def test_the_committed_codec_is_the_generated_one(server: str) -> None:
    path = f"docs/codec/{server}.js"
    assert (ROOT / path).read_text() == codecs.javascript(server), REMAKE.format(server, path)


def test_the_committed_dictionary_is_the_generated_one() -> None:
    path = "docs/data-dictionary.md"
    assert (ROOT / path).read_text() == dictionary.markdown(), REMAKE.format("docs", path)


def test_the_dictionary_describes_every_bit_of_every_frame() -> None:
    text = dictionary.markdown()
    for layout in layouts().values():
        section = text.split(f"## Port {layout.port}:")[1].split("\n## ")[0].split("\n### ")[0]
        spans = [
            row.split("|")[1].strip()
            for row in section.splitlines()
            if row.startswith("| ") and row[2].isdigit()
        ]
        bits = [bit for span in spans for bit in range(int(span.split("-")[0]), int(span.split("-")[-1]) + 1)]
        assert bits == list(range(layout.size * 8)), layout.name


def repository() -> dict[PurePosixPath, str]:
    return dict(repositories.device_repository())


def test_the_things_network_s_folder_keeps_its_rules() -> None:
    """The parts of lorawan-devices' schema.json that apply: names of files, regions, versions, required fields."""
    folder = PurePosixPath("lorawan-devices/vendor/opensource")
    found = {path.name: yaml.safe_load(text) for path, text in repository().items() if path.suffix == ".yaml"}
    (name,) = found["index.yaml"]["endDevices"]
    device = found[f"{name}.yaml"]
    (firmware,) = device["firmwareVersions"]
    assert device["name"] and firmware["version"]
    assert set(device["sensors"]) <= {
        "magnetometer",
        "distance",
        "level",
        "light",
        "pir",
        "temperature",
        "battery",
    }
    (region,), (profile,) = firmware["profiles"].keys(), firmware["profiles"].values()
    assert region == "EU863-870"
    required = {
        "supportsClassB",
        "supportsClassC",
        "macVersion",
        "regionalParametersVersion",
        "supportsJoin",
        "maxEIRP",
    }
    chosen = found[f"{profile['id']}.yaml"]
    assert required <= set(chosen) and chosen["macVersion"] == "1.0.4"
    assert chosen["regionalParametersVersion"] in ("RP002-1.0.0", "RP002-1.0.1")
    for identifier in (name, profile["id"], profile["codec"]):
        assert len(identifier) <= 36 and identifier.replace("-", "").isalnum() and identifier.islower()
    for script in found[f"{profile['codec']}.yaml"].values():
        source = repository()[folder / script["fileName"]]
        assert source == codecs.javascript("tts") and script["examples"]


@pytest.mark.parametrize("function", ["uplinkDecoder", "downlinkEncoder", "downlinkDecoder"])
def test_the_things_network_s_examples_come_true(function: str) -> None:
    files = repository()
    path = next(path for path in files if path.name.endswith("-codec.yaml"))
    script = yaml.safe_load(files[path])[function]
    name = {
        "uplinkDecoder": "decodeUplink",
        "downlinkEncoder": "encodeDownlink",
        "downlinkDecoder": "decodeDownlink",
    }
    source = files[path.with_name(script["fileName"])]
    answers = in_quickjs(source, [one["input"] for one in script["examples"]], name[function])
    assert answers == [one["output"] for one in script["examples"]]


@pytest.mark.parametrize(("way", "function"), [("decode", "decodeUplink"), ("encode", "encodeDownlink")])
def test_chirpstack_s_examples_come_true(way: str, function: str) -> None:
    files = repository()
    path = next(path for path in files if path.name.startswith(f"test_{way}_"))
    tests = json.loads(files[path])
    source = files[path.with_name(path.name.removeprefix(f"test_{way}_").replace(".json", ".js"))]
    answers = in_quickjs(source, [one["input"] for one in tests], function)
    assert answers == [one["expected"] for one in tests]


def test_chirpstack_s_folder_fits_together() -> None:
    files = repository()
    tables = {path: tomllib.loads(text) for path, text in files.items() if path.suffix == ".toml"}
    vendor = next(path for path in tables if path.name == "vendor.toml")
    (device,) = tables[vendor]["vendor"]["devices"]
    (firmware,) = tables[vendor.parent / "devices" / device]["device"]["firmware"]
    (profile,) = firmware["profiles"]
    assert tables[vendor.parent / "profiles" / profile]["profile"]["region"] == "EU868"
    assert vendor.parent / "codecs" / firmware["codec"] in files


def test_repositories_are_the_same_every_time() -> None:
    assert repository() == repository()


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(codec)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_writes_files_and_folders(tmp_path: Path) -> None:
    assert run("--for", "chirpstack").output == codecs.javascript("chirpstack")
    path = tmp_path / "deep" / "dictionary.md"
    assert run("--for", "docs", "-o", str(path)).exit_code == 0
    assert path.read_text() == dictionary.markdown()
    assert run("--for", "device-repository", "-o", str(tmp_path / "all")).exit_code == 0
    written = {
        path.relative_to(tmp_path / "all") for path in (tmp_path / "all").rglob("*.*") if path.is_file()
    }
    assert written == set(repository())
    assert "name a folder" in str(run("--for", "device-repository").exception)
    assert run("--for", "nobody").exit_code == 2


def test_no_generator_names_a_field() -> None:
    """A decoder that knew a field by its name would not learn of a new one from the table."""
    names = {field.row for layout in layouts().values() for field in layout.fields} - {"command", "value"}
    folder = ROOT / "host/borne/decoding"
    for path in (
        folder / name
        for name in ("report.py", "bulk.py", "past.py", "columns.py", "codecs.py", "dictionary.py")
    ):
        words = {
            node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
        }
        assert not names & {word for word in words if isinstance(word, str)}, path.name
    core = (folder / "javascript" / "core.js").read_text().splitlines()
    code = "\n".join(line.partition("//")[0] for line in core)
    assert not [name for name in names if f'"{name}"' in code]
