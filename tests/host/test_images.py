"""Images from the download site: a real HTTP server on loopback, and everything that goes wrong with one."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import made_images
import pytest

from borne import boards
from borne.errors import ImageError
from borne.flashing import image, images, node

DEVKIT = boards.load("esp32-devkitc")
C3 = boards.load("esp32-c3-devkitm")
T3 = boards.load("lilygo-t3-s3")


class Site:
    """A download site: `files` by name; `fault` is what it does wrong."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fault = ""
        self.asked: list[str] = []
        self.release = threading.Event()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/firmware"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request):
        name = request.path.rpartition("/")[2]
        self.asked.append(name)
        if self.fault == "silence":
            self.release.wait(30)
            return
        if name not in self.files or self.fault == "error":
            request.send_error(503 if self.fault == "error" else 404)
            return
        data = self.files[name]
        request.send_response(200)
        if self.fault != "unsaid":
            size = len(data) if self.fault != "huge" else 1 << 30
            request.send_header("Content-Length", str(size))
        request.end_headers()
        request.wfile.write(data[: len(data) // 2] if self.fault == "cut" else data)

    def close(self):
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """With a computer that has no image and no hash yet."""
    served = Site()
    monkeypatch.setenv("BORNE_IMAGE_SITE", served.url)
    monkeypatch.delenv("BORNE_IMAGES", raising=False)
    monkeypatch.delenv("BORNE_OFFLINE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    served.files = {
        board.image_file: made_images.micropython(board.chip, board.flash_mb) for board in (C3, T3)
    }
    yield served
    served.close()


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def refusal(board=C3, **options):
    with pytest.raises(ImageError) as caught:
        images.obtain(board, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_image_is_fetched_once_verified_kept_and_its_hash_written_down(site, tmp_path):
    seen = []
    loaded = images.obtain(C3, progress=seen.append)
    assert [region.name for region in loaded.regions] == ["bootloader", "partition table", "factory"]
    assert loaded.regions[0].offset == 0
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert cached(tmp_path) == [C3.image_file]
    assert images.obtain(C3).regions == loaded.regions
    assert site.asked == [C3.image_file]
    digest = hashlib.sha256(site.files[C3.image_file]).hexdigest()
    assert images.lock_file().read_text() == f"{digest}  {C3.image_file}\n"


def test_sha256sum_checks_the_lock(site, tmp_path):
    images.obtain(C3)
    images.obtain(T3)
    folder = tmp_path / "cache" / "borne" / "images"
    done = subprocess.run(["sha256sum", "-c", images.lock_file()], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count(": OK")) == (0, 2)


def test_the_variant_of_a_board_with_less_flash_has_its_own_name(site):
    images.obtain(T3)
    assert site.asked == ["ESP32_GENERIC_S3-FLASH_4M-20250415-v1.25.0.bin"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("cut", "broke off before its end; run the command again"),
        ("error", "the site answers 503"),
        ("huge", "larger than any flash"),
    ],
)
def test_a_site_in_trouble_leaves_nothing_behind_and_the_next_try_works(site, tmp_path, fault, says):
    site.fault = fault
    assert says in refusal()
    assert cached(tmp_path) == []
    assert not images.lock_file().exists()
    site.fault = ""
    images.obtain(C3)


def test_a_download_without_a_length_is_taken_when_it_verifies(site):
    site.fault = "unsaid"
    images.obtain(C3)


def test_a_site_that_falls_silent(site, tmp_path):
    site.fault = "silence"
    before = time.monotonic()
    assert "cannot be fetched: the site does not answer" in refusal(timeout=0.2)
    assert time.monotonic() - before < 20
    assert cached(tmp_path) == []


def test_no_such_image_on_the_site(site):
    site.files.clear()
    said = refusal()
    assert f"{site.url}/{C3.image_file}: the site has no such image" in said
    assert "get it from https://micropython.org/download/ESP32_GENERIC_C3/ and give it with --image" in said


def test_nobody_serves(site, monkeypatch):
    site.close()
    assert "cannot be fetched: Connection refused" in refusal()
    monkeypatch.setenv("BORNE_IMAGE_SITE", "http://nowhere.invalid/")
    assert f"{C3.image_file} is missing and cannot be fetched: no such host" in refusal()
    monkeypatch.setenv("BORNE_IMAGE_SITE", "ftp://x")
    assert "BORNE_IMAGE_SITE: 'ftp://x' is no https:// address" in refusal()


def test_offline_nothing_is_asked(site, monkeypatch):
    monkeypatch.setenv("BORNE_OFFLINE", "1")
    assert "BORNE_OFFLINE is set, so it is not fetched" in refusal()
    assert site.asked == []


def test_a_folder_of_images_serves_without_a_network(site, tmp_path, monkeypatch):
    monkeypatch.setenv("BORNE_OFFLINE", "1")
    monkeypatch.setenv("BORNE_IMAGES", str(tmp_path / "stick"))
    made_images.put(tmp_path / "stick", C3)
    assert images.obtain(C3).regions
    assert site.asked == []


@pytest.mark.parametrize("flip", [40, 8000, 0x8010, 0x10100, -10])
def test_damaged_bytes_never_enter_the_cache(site, tmp_path, flip):
    whole = bytearray(site.files[C3.image_file])
    whole[flip] ^= 1
    site.files[C3.image_file] = bytes(whole)
    said = refusal()
    assert "what came is no good" in said or "is no good" in said
    assert cached(tmp_path) == []


def test_an_image_for_another_chip_never_enters_the_cache(site, tmp_path):
    site.files[C3.image_file] = site.files[T3.image_file]
    assert "is for ESP32-S3, but board esp32-c3-devkitm has an ESP32-C3" in refusal()
    assert cached(tmp_path) == []


def test_a_web_page_is_no_image(site):
    site.files[C3.image_file] = b"<html>log in to this hotel's network</html>"
    assert "no ESP32 image" in refusal()


def test_other_bytes_under_the_same_name_are_refused_ever_after(site, tmp_path):
    images.obtain(C3)
    changed = made_images.micropython("esp32c3", seed=1)
    target = tmp_path / "cache" / "borne" / "images" / C3.image_file
    target.write_bytes(changed)
    said = refusal()
    assert f"{target}: is not the {C3.image_file} that" in said
    assert "remove it to fetch it again" in said
    target.unlink()
    site.files[C3.image_file] = changed
    assert "it was changed" in refusal()
    assert cached(tmp_path) == []


def test_the_hashes_that_come_with_borne_count_too(site, tmp_path, monkeypatch):
    monkeypatch.setenv("BORNE_IMAGES", str(tmp_path / "mine"))
    made_images.put(tmp_path / "mine", DEVKIT)
    assert "images.sha256 knows" in refusal(DEVKIT)


def test_the_shipped_hash_is_that_of_the_real_image():
    assert images.obtain(DEVKIT).source == DEVKIT.image_file
    path = image.found(DEVKIT)
    assert path is not None
    assert (
        hashlib.sha256(path.read_bytes()).hexdigest()
        in (boards.shipped("boards") / "images.sha256").read_text()
    )


def test_a_file_of_ones_own_is_not_held_to_a_hash(site, tmp_path):
    images.obtain(C3)
    own = tmp_path / C3.image_file
    own.write_bytes(made_images.micropython("esp32c3", seed=2))
    assert images.obtain(C3, own).regions


@pytest.mark.parametrize("board", [C3, T3, boards.load("esp32-s3-devkitc")], ids=lambda board: board.name)
def test_esptool_takes_what_is_made_here_for_images(board, tmp_path):
    path = made_images.put(tmp_path, board)
    for region in image.load(path, board).regions:
        if region.name == "partition table":
            continue
        (tmp_path / "one.bin").write_bytes(region.data)
        command = [sys.executable, "-m", "esptool", "image-info", str(tmp_path / "one.bin")]
        seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert seen.count("(valid)") == 2
        assert board.silicon.title in seen


def test_a_node_of_every_board_can_be_made(tmp_path, monkeypatch):
    monkeypatch.setenv("BORNE_IMAGES", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in boards.names():
        board = boards.load(name)
        if board.image != "ESP32_GENERIC":
            made_images.put(tmp_path, board)
        made = node.regions(board)
        assert made[0].offset == board.silicon.bootloader
        assert made[-1].end <= board.flash_bytes
        assert made[-1].name == "vfs"


def test_two_commands_at_once_fetch_the_same(site, tmp_path):
    program = (
        "from borne import boards; from borne.flashing import images; "
        f"images.obtain(boards.load({C3.name!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # The folder of images of this Python is not to be found: it has none for this chip.
    several = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(3)]
    assert [process.wait(60) for process in several] == [0, 0, 0]
    assert cached(tmp_path) == [C3.image_file]
    assert len(set(images.lock_file().read_text().splitlines())) == 1
    assert not list(Path(tmp_path).rglob("*.part"))
