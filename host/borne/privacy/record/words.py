"""What the documents say, out of words.toml, in one language."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

LANGUAGES: Final = ("en", "fr")


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
        hours, rest = divmod(seconds, 3600)
        return f"{hours} h" if not rest else f"{seconds // 60} min"
