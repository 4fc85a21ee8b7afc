"""The documents: every figure out of the policy table, every name out of the settings, nothing invented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from borne import __version__
from borne.decoding.dictionary import code_words
from borne.decoding.table import Field, layouts
from borne.errors import UserError
from borne.privacy.record.blocks import Banner, Block, Code, Grid, Heading, Items, Pair, Paragraph
from borne.privacy.record.collected import is_collected
from borne.privacy.record.words import Words, facts
from borne_node.privacy import policy
from borne_node.report import schema

# Two hours is a long errand, three passages a day somebody who lives there.
_STAY_H, _PASSAGES = 2, 3
# As the gate keeps them for the history of frames (borne_node/privacy/gate.py).
_KEPT = 8

# The firmware carries no annotations: these are the types of what is called.
_rows: Sequence[Any] = policy.TABLE
_digest: Any = policy.digest


@dataclass(frozen=True)
class Fleet:
    """Settings of every node, validated (borne_node.settings); facts by name (words.facts), as far as known.

    `report`: what `make privacy` wrote, or None.
    """

    nodes: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None

    def check(self, policy_hash: str | None = None) -> None:
        """Raises UserError: no nodes, an unknown fact, or a hash (of nodes, or of the report) of another policy."""
        if not self.nodes:
            raise UserError("record: there is no node")
        for name in self.facts:
            if name not in facts():
                raise UserError(f"facts: {name} is unknown; known are {', '.join(facts())}")
        ours = _digest().hex()
        given = (policy_hash or ours).lower()
        if len(given) < 8 or not ours.startswith(given):
            raise UserError(
                f"policy: nodes run {given[:16]}, this build has {ours[:16]}: use the matching build"
            )
        if self.report is not None and self.report.get("policy_sha256") != ours:
            raise UserError(
                "report: the attacks were tried on another policy; run make privacy on this build"
            )

    @property
    def rows(self) -> list[Any]:
        """The policy's rows in use, in the table's order."""
        used = {(node["kind"], node["profile"]) for node in self.nodes}
        return [row for row in _rows if (row.kind, row.profile) in used]

    def of(self, row: Any) -> list[Mapping[str, Any]]:
        """The nodes that run a row of the policy."""
        return [node for node in self.nodes if (node["kind"], node["profile"]) == (row.kind, row.profile)]

    @property
    def missing(self) -> list[str]:
        return [name for name in facts() if not self.facts.get(name)]


class Record(NamedTuple):
    """One document: its `blocks`, on "A4" or "A5"; `grids` go out as CSV too."""

    name: str
    title: str
    blocks: list[Block]
    paper: str = "A4"
    grids: dict[str, Grid] = {}  # noqa: RUF012 - never changed


def documents(fleet: Fleet, language: str, policy_hash: str | None = None) -> list[Record]:
    """Every document in a language of words.LANGUAGES. Raises UserError (Fleet.check)."""
    fleet.check(policy_hash)
    say = Words(language)
    dictionary, retention = _dictionary_grid(fleet, say), _retention_grid(fleet, say)
    return [
        Record("article30", say("article30"), list(_article30(fleet, say))),
        Record("dpia", say("dpia"), list(_dpia(fleet, say))),
        Record("anonymity", say("anonymity"), list(_anonymity(fleet, say))),
        Record(
            "retention",
            say("retention"),
            [*_head(fleet, say, "retention"), retention],
            grids={"retention": retention},
        ),
        Record(
            "dictionary",
            say("dictionary"),
            [*_head(fleet, say, "dictionary"), dictionary],
            grids={"dictionary": dictionary},
        ),
        *(
            Record(f"notice-{row.profile}", say("notice"), list(_notice(fleet, say, row)), "A5")
            for row in fleet.rows
        ),
    ]


def _head(fleet: Fleet, say: Words, title: str) -> Iterator[Block]:
    yield Heading(1, say(title))
    yield Paragraph(f"{say('firmware')} {__version__}; {say.pair(say('policy'), _digest().hex())}")
    if fleet.missing:
        yield Heading(3, say("to_fill"))
        yield Items(tuple(say.pair(say.fact(name), _hole(say)) for name in fleet.missing))


def _hole(say: Words) -> str:
    return f"[[{say('missing')}]]"


def _fact(fleet: Fleet, say: Words, name: str) -> str:
    return fleet.facts.get(name) or _hole(say)


def _article30(fleet: Fleet, say: Words) -> Iterator[Block]:
    yield from _head(fleet, say, "article30")
    rows = [(say.fact(name), _fact(fleet, say, name)) for name in facts()]
    rows.append((say("subjects"), say("subjects_of")))
    rows.append((say("transfers"), say("transfers_of")))
    yield Grid((), tuple(rows))
    yield Heading(2, say("categories"))
    yield _profiles(fleet, say)
    yield Heading(2, say("security"))
    yield Items(tuple(say("measures").split("|")))


def _profiles(fleet: Fleet, say: Words) -> Grid:
    count = Counter((node["kind"], node["profile"]) for node in fleet.nodes)
    return Grid(
        (say("profile"), say("nodes"), say("what_leaves"), say("how_often"), say("statement")),
        tuple(
            (
                say.profile(row.profile, "title"),
                str(count[(row.kind, row.profile)]),
                say.profile(row.profile, "leaves"),
                _often(row, say),
                say.says(row.says),
            )
            for row in fleet.rows
        ),
    )


def _often(row: Any, say: Words) -> str:
    if row.port == schema.LIVE:
        return say("at_change")
    text = say("every").format(window=say.duration(row.window_s))
    text += say("every_night") if row.night_s else ""
    return text + (say("alarms") if row.port == schema.FILL else "")


def _dpia(fleet: Fleet, say: Words) -> Iterator[Block]:
    yield from _head(fleet, say, "dpia")
    yield Heading(2, say("context"))
    yield _profiles(fleet, say)
    yield Heading(2, say("principles"))
    personal = any(row.port == schema.LIVE for row in fleet.rows)
    yield Paragraph(say("minimised_live" if personal else "minimised"), strong=personal)
    yield Items(tuple(say("measures").split("|")))
    yield Heading(2, say("risks"))
    yield _cells((say("risk"), say("source"), say("measure")), say("risk_rows"))
    yield Heading(2, say("attacks"))
    yield _attacks(fleet, say)


def _cells(head: tuple[str, ...], text: str) -> Grid:
    return Grid(head, tuple(tuple(row.split("|")) for row in text.split("#")))


def _attacks(fleet: Fleet, say: Words) -> Block:
    if fleet.report is None:
        return Paragraph(say("no_report"), strong=True)
    head = (say("attack"), say("bound"), say("measured"), "")
    return Grid(
        head,
        tuple(
            (one["attack"], one["bound"], _measured(one), say("held" if one["held"] else "broken"))
            for one in fleet.report["attacks"]
        ),
    )


def _measured(one: Mapping[str, Any]) -> str:
    """With what the attack tells of other profiles, which no bound by noise protects."""
    others = [note for note in one.get("notes", ()) if note.startswith("parking singling-out")]
    return "; ".join([one["measured"], *others])


def _anonymity(fleet: Fleet, say: Words) -> Iterator[Block]:
    yield from _head(fleet, say, "anonymity")
    for row in fleet.rows:
        yield Heading(2, say.pair(say.profile(row.profile, "title"), say.says(row.says)))
        yield Grid((), tuple(_answers(row, say)))
        fields = layouts()[row.port].fields
        rows = {one.row: one for one in reversed(fields)}
        yield Grid(
            (say("field"), say("meaning"), say("collected"), say("class"), say("mechanism")),
            tuple(
                (
                    one.row,
                    say.field(one.text),
                    _collected(fleet, say, row.port, [each for each in fields if each.row == one.row]),
                    say.field(one.privacy),
                    say.field(one.mechanism) if one.mechanism else "",
                )
                for one in reversed(rows.values())
            ),
        )


def _answers(row: Any, say: Words) -> Iterator[tuple[str, str]]:
    for name in ("singling_out", "linkability", "inference"):
        yield say(name), say.profile(row.profile, name)
    yield say("unit"), say.unit(row.unit)
    yield say("epsilon"), _fraction(row.epsilon) if row.epsilon else say("no_noise")
    yield say("composition"), _composition(row, say)
    if row.threshold:
        yield say("mechanism"), say("suppressed").format(threshold=row.threshold)
    yield say("residual"), say.profile(row.profile, "residual")


def _fraction(epsilon: tuple[int, int], times: int = 1) -> str:
    over, under = epsilon[0] * times, epsilon[1]
    return str(over // under) if over % under == 0 else f"{over}/{under}"


def _composition(row: Any, say: Words) -> str:
    if not row.epsilon:
        return say("uncomposed")
    if row.unit == "passage":
        return say("composed_passage").format(count=_PASSAGES, total=_fraction(row.epsilon, _PASSAGES))
    if row.unit == "quarter-hour":
        count, stay = _STAY_H * 4, say("composed_stay")
        return stay.format(hours=_STAY_H, count=count, total=_fraction(row.epsilon, count))
    count = _STAY_H * 3600 // row.window_s
    total = _fraction(row.epsilon, count)
    return say("composed").format(unit=say.unit(row.unit), hours=_STAY_H, count=count, total=total)


def _retention_grid(fleet: Fleet, say: Words) -> Grid:
    grid = _cells((say("where"), say("what"), say("how_long")), say("kept").format(kept=_KEPT))
    platform = (say("platform"), say("released"), _fact(fleet, say, "retention_platform"))
    return Grid(grid.head, (*grid.rows, platform))


def _dictionary_grid(fleet: Fleet, say: Words) -> Grid:
    """Every bit of every frame that nodes of this fleet send or take."""
    ports = {row.port for row in fleet.rows} | {schema.HEALTH, schema.FAULT, schema.SETTINGS, schema.COMMAND}
    if schema.FILL in ports:
        ports.add(schema.ALARM)
    head = ("port", "bits", "field", "meaning", "collected", "unit", "codes", "class", "mechanism", "epsilon")
    rows: list[tuple[str, ...]] = []
    for port in sorted(ports):
        layout = layouts()[port]
        if layout.window_bits:
            bits = f"0-{layout.window_bits - 1}"
            codes = f"0 - {(1 << layout.window_bits) - 1}"
            rows.append(
                (
                    str(port),
                    bits,
                    "window",
                    say.field("index of the time window"),
                    say("yes"),
                    "",
                    codes,
                    say.field("thing"),
                    "",
                    "",
                )
            )
        every: Sequence[Field] = (*layout.fields, *(one for more in layout.variants.values() for one in more))
        rows.extend(_described(fleet, port, one, say) for one in every)
    return Grid(tuple(say(name) for name in head), tuple(rows))


def _described(fleet: Fleet, port: int, one: Field, say: Words) -> tuple[str, ...]:
    return (
        str(port),
        f"{one.position}-{one.position + one.width - 1}",
        one.name,
        say.field(one.text),
        _collected(fleet, say, port, [one]),
        one.unit or "",
        code_words(one),
        say.field(one.privacy),
        say.field(one.mechanism) if one.mechanism else "",
        _fraction(one.epsilon) if one.epsilon else "",
    )


def _collected(fleet: Fleet, say: Words, port: int, fields: Sequence[Field]) -> str:
    """Whether nodes of this fleet fill any of the fields; those about the node itself all do."""
    senders = [node for row in fleet.rows if row.port == port for node in fleet.of(row)]
    fills = not senders or any(is_collected(senders, port, one) for one in fields)
    return say("yes" if fills else "no")


def _notice(fleet: Fleet, say: Words, row: Any) -> Iterator[Block]:
    live = row.port == schema.LIVE
    yield Heading(1, say("notice"))
    yield Banner(say.profile(row.profile, "title"), say.says(row.says), "warning" if live else "good")
    yield Paragraph(say("live_notice" if live else "anonymous_notice"), strong=True)
    for name, text in (
        ("what_measured", _measured_by(fleet, say, row)),
        ("what_leaves", say.profile(row.profile, "leaves")),
        ("how_often", _often(row, say)),
    ):
        yield Pair(say(name), f"{text[0].upper()}{text[1:]}.")
    yield Paragraph(say("nothing_else"))
    yield Pair(say("who"), f"{_fact(fleet, say, 'controller')}, {_fact(fleet, say, 'contact')}")
    if fleet.facts.get("url"):
        yield Code(fleet.facts["url"])
    else:
        yield Pair(say("more"), _hole(say))
    yield Paragraph(say.pair(say("policy"), _digest().hex()[:16]))


def _measured_by(fleet: Fleet, say: Words, row: Any) -> str:
    """What the sensors that this fleet has for a profile measure."""
    used = {str(node["presence" if row.kind == "light" else "sensor"]) for node in fleet.of(row)}
    return f" {say('or')} ".join(dict.fromkeys(say.measured(row.kind, one) for one in sorted(used)))
