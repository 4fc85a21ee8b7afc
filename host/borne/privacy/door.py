"""A static check that the gate is the only door: from the syntax of the firmware alone, every file, every function.

What may import what (also inside functions), who may make or encode released values, who may print and what, where
files are written, and where a reading may go. What is not listed here as allowed is a breach.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "borne_node"
_ANYTHING = ("",)

# Room -> prefixes of what it may import of the node. Rooms are folders; a file at the top is its own room.
ROOMS: dict[str, tuple[str, ...]] = {
    "sense": ("sense", "chips", "sensors", "sealed", "compat", "errors", "RELEASED"),
    "sensors": (),
    "chips": ("chips", "compat", "errors"),
    "privacy": ("privacy", "report.schema", "hmac_drbg", "sealed", "compat", "errors", "RELEASED"),
    "report": ("report", "compat"),
    # Of power only the battery's level, which a network server asks for.
    "link": (
        *("link", "chips.lora", "chips.sx126x", "chips.sx127x", "compat", "errors", "secrets", "sealed"),
        *("steps", "power"),
    ),
    "power": (),
    "steps": (),
    "past": ("report.markers", "sealed"),
    "hmac_drbg": (),
    "dimmer": ("compat",),
    "outbox": ("compat", "errors"),
    "post": ("link", "errors"),
    "app": _ANYTHING,
    "commands": ("health", "settings", "errors", "past", "report"),
    "health": ("power", "privacy.policy", "report", "__version__"),
    "hardware": (
        "clock",
        "errors",
        "records",
        "secrets",
        "chips.axp192",
        "chips.max17048",
        "chips.lora",
        "chips.sx126x",
        "chips.sx127x",
        "__version__",
    ),
    "settings": ("errors", "secrets", "sensors"),
    "sealed": ("errors",),
    "clock": ("RELEASED", "compat"),
    "switch": (),
    "rescue": ("errors", "compat"),
    "facts": ("app", "settings", "errors", "link.lorawan", "outbox"),
    "selftest": ("sense", "sensors", "power", "secrets", "settings", "errors"),
    "main": _ANYTHING,
}
_NEVER = {"random", "urandom", "logging"}
# Imports by a computed name: where, and with what a name that is given to `load` begins.
_COMPUTED = {("sense/__init__.py", "load")}
_LOADED = ("chips.", "sense.")
# What a host starts at the prompt, on the bench: it prints what it finds, and no wake knows it.
_BENCH = {"sense.probe": (), "selftest": ("sense.probe",), "facts": ()}

# What only some may do, by the name that is called or used: {name: {(file, function)}}.
ONLY = {
    "Released": {("privacy/gate.py", "<module>"), ("privacy/gate.py", "_released")},
    "urandom": {("hardware.py", "__init__"), ("hardware.py", "noise")},
    "put": {("app.py", "keep")},
    "keep": {
        ("app.py", "report"),
        ("app.py", "report_health"),
        ("commands.py", "_send_settings"),
        ("commands.py", "_resend"),
    },
    "print": {
        ("app.py", "sense"),
        ("app.py", "open_outbox"),
        ("app.py", "keep"),
        ("main.py", "last_resort"),
        ("rescue.py", "fail"),
        ("rescue.py", "_safe_mode"),
        ("commands.py", "obey"),
        ("post.py", "_put_off"),
        ("sense/probe.py", "say"),
        ("selftest.py", "_say"),
        ("facts.py", "tell"),
        ("hardware.py", "host_is_waiting"),
        ("hardware.py", "stay"),
    },
    "exec": set(),
    "eval": set(),
    "stdout": set(),
    "stderr": set(),
    "print_exception": set(),
}
# Rooms in which the word means something else; they know no reading (ROOMS).
_OWN_WORDS = {"put": ("outbox", "report"), "keep": ("link",)}
_ENCODERS = {"encode", "encode_into"}
_MAY_ENCODE = {
    ("app.py", "report"),
    ("health.py", "report"),
    ("health.py", "echo"),
    ("commands.py", "_resend"),
}
# Names that a printed line may hold: errors of our own tree, whose texts are checked where they are raised.
_PRINTED = {"fault", "problem", "reason", "failed", "seconds", "__version__"}
_WRITERS = {"settings.py", "outbox.py", "rescue.py"}
# Where app.py may hand a reading: to the gate.
_TAKE_READINGS = {"pass_gate", "add"}


@dataclass(frozen=True)
class Breach:
    """`file` below the package, its `line`, and what is wrong."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def breaches(tree: Path) -> list[Breach]:
    """Every breach below `tree`, the folder that holds the package; main.py beside it is looked at too."""
    root = tree / PACKAGE
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.py"))}
    if "privacy/gate.py" not in files:
        return [Breach("privacy/gate.py", 0, "there is no gate")]
    if (tree / "main.py").is_file():
        files["main.py"] = tree / "main.py"
    return [
        breach
        for name, path in files.items()
        for breach in _File(name, ast.parse(path.read_text("utf-8"))).breaches()
    ]


class _File:
    def __init__(self, name: str, module: ast.Module) -> None:
        self.name = name
        self.module = module
        self.room = name.split("/")[0].removesuffix(".py")
        self.scope: dict[ast.AST, str] = {}
        self._mark(module, "<module>")

    def _mark(self, node: ast.AST, scope: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef) else scope
            self.scope[child] = inner
            self._mark(child, inner)

    def breaches(self) -> Iterator[Breach]:
        for node in ast.walk(self.module):
            for what in (
                *self._imports(node),
                *self._names(node),
                *self._encodes(node),
                *self._prints(node),
                *self._writes(node),
                *self._reaches_in(node),
                *self._raises(node),
                *self._hands_on(node),
            ):
                yield Breach(self.name, getattr(node, "lineno", 0), what)

    def _imports(self, node: ast.AST) -> Iterator[str]:
        for name in _imported(node):
            if name.split(".")[0] in _NEVER:
                yield f"imports {name}"
            if not name.startswith(PACKAGE + "."):
                continue
            inner = name.removeprefix(PACKAGE + ".")
            allowed = ROOMS.get(self.room, ())
            if inner in _BENCH and inner not in _BENCH.get(self.room, ()):
                yield "imports the bench tool"
            if not any(inner == one or inner.startswith(one + ".") or not one for one in allowed):
                yield f"{self.room} imports {inner}"
        if not isinstance(node, ast.Call):
            return
        computed = _called(node) == "__import__" and self.room != "link"
        if computed and (self.name, self.scope[node]) not in _COMPUTED:
            yield "imports by a computed name"
        if _called(node) == "load" and self.room == "sense":
            name = _beginning(node.args[0])
            if not name.startswith(_LOADED) or name in _BENCH:
                yield f"loads {name or 'a computed name'}"

    def _names(self, node: ast.AST) -> Iterator[str]:
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == "Released":
                    yield "imports Released"
        if self.room in _OWN_WORDS.get(name, ()):
            return
        if name in ONLY and (self.name, self.scope.get(node, "")) not in ONLY[name]:
            yield f"{name} has no place in {self.scope.get(node)}"

    def _encodes(self, node: ast.AST) -> Iterator[str]:
        if not isinstance(node, ast.Attribute) or node.attr not in _ENCODERS:
            return
        of_codec = isinstance(node.value, ast.Name) and node.value.id in ("codec", "report")
        if of_codec and (self.name, self.scope[node]) not in _MAY_ENCODE:
            yield f"encodes a report in {self.scope[node]}"

    def _prints(self, node: ast.AST) -> Iterator[str]:
        if not isinstance(node, ast.Call) or not (
            isinstance(node.func, ast.Name) and node.func.id == "print"
        ):
            return
        if len(node.args) != 1 or node.keywords:
            yield "prints more than one text"
            return
        if self.name.removesuffix(".py").replace("/", ".") in _BENCH:
            return
        for name in _loaded(node.args[0]):
            if name not in _PRINTED:
                yield f"prints {name}"

    def _writes(self, node: ast.AST) -> Iterator[str]:
        if not isinstance(node, ast.Call) or not (isinstance(node.func, ast.Name) and node.func.id == "open"):
            return
        mode = node.args[1] if len(node.args) > 1 else ast.Constant("r")
        reads = isinstance(mode, ast.Constant) and str(mode.value).strip("bt") == "r"
        if not reads and self.name not in _WRITERS:
            yield "writes a file"

    def _reaches_in(self, node: ast.AST) -> Iterator[str]:
        """Into a private part of something else than itself: that is how one takes what the gate keeps."""
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
            return
        inside = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if not inside and self.room in ("app", "commands", "health", "post", "sense", "main", "hardware"):
            yield f"reaches into {node.attr}"

    def _raises(self, node: ast.AST) -> Iterator[str]:
        """A fault of a sensor carries two fixed texts: its text is printed and its reason is sent."""
        if isinstance(node, ast.Call) and _called(node) == "SensorFault":
            for argument in node.args:
                if not _fixed(argument):
                    yield f"a SensorFault carries {', '.join(_loaded(argument)) or 'a computed text'}"

    def _hands_on(self, node: ast.AST) -> Iterator[str]:
        if self.name != "app.py" or not isinstance(node, ast.FunctionDef):
            return
        allowed = {
            argument
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and _called(call) in _TAKE_READINGS
            for argument in call.args
        }
        allowed |= {
            one
            for back in ast.walk(node)
            if isinstance(back, ast.Return) and node.name == "sense" and isinstance(back.value, ast.Tuple)
            for one in back.value.elts
        }
        for one in ast.walk(node):
            reading = isinstance(one, ast.Name) and one.id == "reading" and isinstance(one.ctx, ast.Load)
            if reading and one not in allowed:
                yield f"hands a reading on in {node.name}"


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        # A package, or a name in a module: what is imported is the longer of both where it comes from the package.
        whole = module == PACKAGE or module in (f"{PACKAGE}.report", f"{PACKAGE}.privacy", f"{PACKAGE}.link")
        yield from (f"{module}.{alias.name}" for alias in node.names) if whole else (module,)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _loaded(node: ast.AST) -> Iterator[str]:
    """Names and attributes in an expression."""
    if isinstance(node, ast.Name):
        yield node.id
    if isinstance(node, ast.Attribute):
        yield node.attr
    for child in ast.iter_child_nodes(node):
        yield from _loaded(child)


def _fixed(node: ast.AST) -> bool:
    """Whether an expression can only be one of the texts written in the source: a constant, a driver's name, or a
    choice of such; the condition decides, but does not enter."""
    if isinstance(node, ast.IfExp):
        return _fixed(node.body) and _fixed(node.orelse)
    if isinstance(node, ast.Attribute):
        return node.attr in ("name", "_name", "NAME")
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id == "NAME")


def _beginning(node: ast.AST) -> str:
    """The constant text with which a sum of texts begins."""
    while isinstance(node, ast.BinOp):
        node = node.left
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
