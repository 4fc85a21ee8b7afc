"""The long run's own code, on a few thousand payloads; `make fuzz` takes a million."""

from __future__ import annotations

import pytest
from bench import decoding_fuzz as fuzz


def test_no_two_decoders_differ() -> None:
    assert fuzz.run(3000, seed=1) > 300


def test_a_decoder_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = fuzz.by_columns
    monkeypatch.setattr(fuzz, "by_columns", lambda pairs: [*right(pairs)[:-1], "something else"])
    with pytest.raises(AssertionError, match="something else"):
        fuzz.run(50, seed=1)
