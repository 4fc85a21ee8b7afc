"""`python -m borne.privacy`: every attack and every planted fault; build/privacy-report.json and .html.

The long form takes about three quarters of an hour on two cores; `--short` is what the tests run. The exit code is 1
when an attack gets through, or when one misses the fault planted for it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from borne import __version__
from borne.errors import BorneError
from borne.privacy import paper, utility
from borne.privacy.attacks import suite
from borne.privacy.attacks.laboratory import Laboratory, checkout
from borne.privacy.paper import Planted, Run

_DRAWS = {"short": 4_000, "long": 100_000}


def run(form: str, folder: Path) -> Run:
    """Attack the firmware of this checkout; says on stderr what is under way."""

    def tell(text: str) -> None:
        print(f"{text} ...", file=sys.stderr, flush=True)

    findings = []
    for finding in suite.run(folder, form == "long", tell):
        print(finding.line(), flush=True)
        findings.append(finding)
    planted = []
    for attack, fault, finding in suite.run_faults(folder, tell):
        planted.append(Planted(attack, fault, not finding.held, finding.measured))
        print(
            f"{attack}, planted: {fault}: {'seen' if planted[-1].seen else 'MISSED'}; {finding.measured}",
            flush=True,
        )
    tell("utility")
    costs = utility.table(Laboratory(folder / "utility"), _DRAWS[form])
    return Run(__version__, form, tuple(findings), tuple(planted), tuple(costs))


def main(arguments: list[str]) -> int:
    form = "short" if arguments == ["--short"] else "long"
    if arguments not in ([], ["--short"]):
        print("usage: python -m borne.privacy [--short]", file=sys.stderr)
        return 2
    try:
        target = checkout() / "build"
        with tempfile.TemporaryDirectory(prefix="borne-privacy-") as folder:
            found = run(form, Path(folder))
    except BorneError as error:
        print(f"borne: {error}", file=sys.stderr)
        return error.exit_code
    target.mkdir(exist_ok=True)
    (target / "privacy-report.json").write_text(paper.as_json(found), encoding="utf-8")
    (target / "privacy-report.html").write_text(paper.as_html(found), encoding="utf-8")
    print(f"{'everything holds' if found.held else 'BROKEN'}; see {target.name}/privacy-report.html")
    return 0 if found.held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
