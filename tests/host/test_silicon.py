"""The simulated chips by themselves; how the drivers get on with them is tested in tests/firmware."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

from borne.virtual import silicon
from borne.virtual.silicon.a02yyuw import A02YYUW
from borne.virtual.silicon.pir import Pir
from borne.virtual.silicon.qmc5883l import QMC5883L
from borne.virtual.silicon.tca9548a import TCA9548A
from borne.virtual.silicon.veml7700 import VEML7700


def magnetic_samples(count: int, seed: int = 1, control: int = 0x1D) -> list[tuple[int, int, int]]:
    chip = QMC5883L(lambda t: (20.0, 0.0, -40.0), seed)
    chip.write(b"\x0b\x01", 0)
    chip.write(bytes([0x09, control]), 0)
    samples = []
    for n in range(1, count + 1):
        chip.write(b"\x00", n * 5000)
        raw = chip.read(6, n * 5000)
        x, y, z = (int.from_bytes(raw[at : at + 2], "little", signed=True) for at in (0, 2, 4))
        samples.append((x, y, z))
    return samples


def test_runs_on_micropython_without_modules_that_it_lacks() -> None:
    for path in Path(silicon.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                guarded = isinstance(node, ast.ImportFrom) and node.module == "collections.abc"
                relative = isinstance(node, ast.ImportFrom) and node.level == 1
                assert guarded or relative, f"{path.name}: {ast.unparse(node)}"


def test_noise_is_repeatable_and_as_wide_as_it_says() -> None:
    drawn = [silicon.Noise(7).gauss() for _ in range(2)]
    assert drawn[0] == drawn[1]
    noise = silicon.Noise(3)
    values = [noise.gauss() for _ in range(20_000)]
    assert abs(statistics.mean(values)) < 0.03
    assert abs(statistics.stdev(values) - 1) < 0.03
    assert {noise.below(3) for _ in range(100)} == {0, 1, 2}


def test_magnetometer_noise_is_that_of_the_datasheet() -> None:
    samples = magnetic_samples(2000)
    for axis, mean in enumerate((600, 0, -1200)):  # 30 LSB a microtesla at 8 G
        values = [sample[axis] for sample in samples]
        assert abs(statistics.mean(values) - mean) < 1
        assert 5.5 < statistics.stdev(values) < 6.5  # 2 mG
    assert magnetic_samples(5) == magnetic_samples(5)
    assert magnetic_samples(5) != magnetic_samples(5, seed=2)


def test_magnetometer_at_2_gauss_and_less_oversampling() -> None:
    values = [x for x, _, _ in magnetic_samples(2000, control=0xCD)]
    assert abs(statistics.mean(values) - 2400) < 6  # 120 LSB a microtesla
    assert 62 < statistics.stdev(values) < 74  # sqrt(8) times 24 LSB


def test_magnetometer_temperature_and_soft_reset() -> None:
    chip = QMC5883L(lambda t: (0.0, 0.0, 0.0), celsius=-10.0)
    chip.write(b"\x0b\x01", 0)
    chip.write(b"\x09\x1d", 0)
    chip.write(b"\x07", 5000)
    assert int.from_bytes(chip.read(2, 5000), "little", signed=True) == -1000
    chip.write(b"\x0a\x80", 5000)
    chip.write(b"\x09", 5000)
    assert chip.read(5, 5000) == b"\x00\x00\x00\x00\xff"
    with pytest.raises(silicon.Misuse, match="past the last register"):
        chip.read(1, 5000)


def test_distance_frames_keep_line_time() -> None:
    chip = A02YYUW(lambda t: 1953)
    heard = [(us, chip.output(us)) for us in range(0, 2_000_000, 250)]
    bytes_at = [us for us, data in heard if data]
    assert all(len(data) <= 1 for _, data in heard)
    frame_starts = bytes_at[::4]
    gaps = [after - before for before, after in zip(frame_starts, frame_starts[1:], strict=False)]
    assert all(100_000 - 250 <= gap <= 300_000 + 250 for gap in gaps)
    assert max(gaps) - min(gaps) > 50_000
    # 10 bits a byte at 9600 baud are 1.04 ms.
    assert all(1000 <= bytes_at[n + 1] - bytes_at[n] <= 1250 for n in range(3))
    frame = b"".join(data for _, data in heard)[:4]
    assert frame[0] == 0xFF and sum(frame[:3]) & 0xFF == frame[3]


def test_distance_in_real_time_mode_comes_each_100_ms() -> None:
    chip = A02YYUW(lambda t: 1000)
    chip.rx_level = 0
    chip.output(0)
    assert len(chip.output(1_100_000)) in (40, 44)
    with pytest.raises(silicon.Misuse, match="takes no bytes"):
        chip.feed(b"\x01", 1_200_000)


def test_distance_that_nobody_heard_is_gone() -> None:
    chip = A02YYUW(lambda t: 1000)
    chip.output(0)
    assert len(chip.output(86_400_000_000)) <= 4 * 101


def test_distance_failures() -> None:
    distance = [1000.0]
    chip = A02YYUW(lambda t: distance[0])
    chip.rx_level = 0
    chip.output(0)
    now = 1_050_000

    def last_frame() -> bytes:
        nonlocal now
        now += 1_000_000
        return chip.output(now)[-4:]

    before = last_frame()
    chip.fail("stuck")
    stuck = last_frame()
    distance[0] = 3000.0
    assert last_frame() == stuck
    chip.fail("checksum")
    damaged = last_frame()
    assert sum(damaged[:3]) & 0xFF != damaged[3]
    chip.fail("silent")
    assert last_frame() == b""
    chip.fail(None)
    assert last_frame()[1:3] != before[1:3]


def test_light_refreshes_more_slowly_when_saving_power() -> None:
    light = [100.0]
    chip = VEML7700(lambda t: light[0])
    chip.write(b"\x03\x01\x00", 0)  # mode 1: 600 ms at an integration of 100 ms
    chip.write(b"\x00\x00\x00", 0)
    chip.write(b"\x04", 102_500)
    first = chip.read(2, 102_500)
    light[0] = 900.0
    assert chip.read(2, 702_000) == first
    assert chip.read(2, 703_000) != first


def test_light_saturates_and_bends() -> None:
    def counts(lux: float, config: bytes) -> int:
        chip = VEML7700(lambda t: lux)
        chip.write(b"\x00" + config, 0)
        chip.write(b"\x04", 2_000_000)
        return int.from_bytes(chip.read(2, 2_000_000), "little")

    assert counts(10_000, b"\xc0\x08") == 65535  # gain 2, 800 ms
    assert counts(0, b"\xc0\x08") == 0
    assert (
        22_000 < counts(100_000, b"\x00\x13") * 2.1504 * 1.03 < 24_000
    )  # what the correction makes 100 klx of


def test_bus_finds_what_the_switch_connects() -> None:
    light = VEML7700(lambda t: 0.0)
    inner = TCA9548A([[QMC5883L(lambda t: (0.0, 0.0, 0.0))]], address=0x71)
    outer = TCA9548A([[light], [inner]])
    bus = silicon.Bus([outer])
    assert bus.scan(0) == [0x70]
    bus.write(0x70, b"\x03", 0)
    assert bus.scan(0) == [0x10, 0x70, 0x71]
    bus.write(0x71, b"\x01", 0)
    assert bus.scan(0) == [0x0D, 0x10, 0x70, 0x71]
    assert bus.read(0x70, 1, 0) == b"\x03"
    light.fail("silent")
    assert 0x10 not in bus.scan(0)
    outer.fail("silent")
    assert bus.scan(0) == []


def test_switch_is_refused_where_none_can_be() -> None:
    with pytest.raises(ValueError, match="70h to 77h"):
        TCA9548A([], address=0x78)
    with pytest.raises(ValueError, match="eight channels"):
        TCA9548A([[]] * 9)


def test_chips_fail_only_as_they_can() -> None:
    for chip in (QMC5883L(lambda t: (0.0, 0.0, 0.0)), VEML7700(lambda t: 0.0), TCA9548A([]), Pir([])):
        with pytest.raises(ValueError, match="cannot fail by"):
            chip.fail("checksum")


def test_time_runs_forward_for_all() -> None:
    pir = Pir([1.0])
    pir.level(5)
    with pytest.raises(silicon.Misuse, match="backwards"):
        pir.level(4)
    light = VEML7700(lambda t: 0.0)
    light.write(b"\x00", 5)
    with pytest.raises(silicon.Misuse, match="backwards"):
        light.read(2, 4)
