"""What the documents say, out of words.toml, in one language."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

LANGUAGES: Final = ("en", "fr")
NO_BREAK: Final = "\N{NO-BREAK SPACE}"


@cache
def _all() -> dict[str, Any]:
    text = resources.files("borne.privacy.record").joinpath("words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def facts() -> tuple[str, ...]:
    """Names of what only a person knows."""
    return tuple(_all()["facts"])


@dataclass(frozen=True)
class Words:
    """Texts of one language, one of LANGUAGES; KeyError for a text that there is not."""

    language: str

    def __call__(self, name: str) -> str:
        return str(_all()["phrases"][name][self.language])

    def pair(self, label: str, text: str) -> str:
        """A label and what it stands for; French sets a space before the colon that breaks no line."""
        return f"{label}{NO_BREAK if self.language == 'fr' else ''}: {text}"

    def measured(self, kind: str, sensor: str) -> str:
        """What a sensor measures; the drivers of one kind of physics share a text."""
        texts = _all()["measured"][kind]
        return next(str(one[self.language]) for one in texts if sensor in one["sensors"])

    def fact(self, name: str) -> str:
        return str(_all()["facts"][name][self.language])

    def profile(self, profile: str, name: str) -> str:
        return str(_all()["profiles"][profile][self.language][name])

    def says(self, text: str) -> str:
        return str(_all()["says"][text][self.language])

    def unit(self, unit: str) -> str:
        return str(_all()["units"][unit][self.language])

    def field(self, text: str) -> str:
        """A text of the report table, which is written in English."""
        return str(_all()["french"][text]) if self.language == "fr" else text

    def duration(self, seconds: int) -> str:
        """What one such time is called after "every" or "par"."""
        hours, rest = divmod(seconds, 3600)
        if rest:
            return f"{seconds // 60} min"
        single = {
            1: "heure" if self.language == "fr" else "hour",
            24: "jour" if self.language == "fr" else "day",
        }
        return single.get(hours, f"{hours} h")
