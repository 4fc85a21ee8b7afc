"""What `borne self-test` runs at the prompt: each part of the board is asked once, by the driver that a wake uses.

Prints a JSON list for each check: its name; true, false or null (nothing to ask); what was found. No line holds a
secret, or a value that a sensor measured.
"""

import json

from borne_node import power, secrets, sensors, settings
from borne_node.errors import NodeError, SensorFault, SettingsError
from borne_node.sense import opener
from borne_node.sense.bays import Switched
from borne_node.sense.probe import Probe

# Of one lithium cell, in mV: below the first nothing is connected, from the second on it holds some charge, and none
# has more than the third (4.2 V when full, and what the ESP32's converter is off by).
_CONNECTED, _CHARGED, _MOST = 1000, 3300, 4450
# A ranger without an echo, or a light that blinds, is a sensor that answers.
_ANSWERS = ("out of range", "not calibrated")


def run(board, kind=None):
    """All checks, printed as they come. `kind`: of a node that has no settings yet, or None."""
    given, ok, said = _settings()
    _say("settings", ok, said)
    _ask("secrets", _secrets, board.nvs, given)
    _ask("radio", _radio, board, given)
    _ask("battery", _battery, board)
    if given is None and kind in sensors.SLOTS:
        given = {"kind": kind, "bays": 1}
    if given is None:
        _ask("bus", _scan, board)
        _say("sensor", None, "not provisioned: nothing says which sensor it has")
        return
    for slot, _, _ in sensors.SLOTS[given["kind"]]:
        _sensor(board, given, slot)


def _say(name, ok, detail):
    print(json.dumps([name, ok, detail]))


def _ask(name, part, *given):
    """One check, whatever becomes of it: a part that fails in an unheard-of way hides none of the others."""
    try:
        ok, detail = part(*given)
    except Exception as error:
        # The text of a foreign exception may hold a raw value.
        ok, detail = False, str(error) if isinstance(error, NodeError) else type(error).__name__
    _say(name, ok, detail)


def _settings():
    try:
        with open(settings.FILE, "rb") as file:
            given = settings.parse(file.read())
    except OSError:
        return None, None, "not provisioned"
    except SettingsError as error:
        return None, False, str(error)
    return given, True, "".join("%02x" % byte for byte in settings.digest(given))


def _secrets(nvs, given):
    if given is None:
        return None, "not provisioned"
    needed = ["app_key"] if given["link"] == "lorawan" else []
    if given.get("mqtt_tls"):
        needed.append("mqtt_ca")
    if given.get("mqtt_user"):
        needed.append("mqtt_password")
    there = [name for name in sorted(secrets.SECRETS) if nvs.has(secrets.secret_key(name, given["slot"]))]
    missing = [name for name in needed if name not in there]
    if missing:
        return False, "missing in slot %s: %s" % (given["slot"], ", ".join(missing))
    if not there:
        return True, "none, for an open Wi-Fi network"
    return True, "present, not read: " + ", ".join(there)


def _radio(board, given):
    chip = board.names.get("radio")
    if chip is None:
        wanted = given and given["link"] == "lorawan"
        return (False if wanted else None), "this board has none"
    try:
        board.radio().sleep()
    except (NodeError, ValueError, KeyError) as error:
        return False, "board.json says %s: %s" % (chip, error)
    return True, "%s answers" % chip


def _battery(board):
    level = power.millivolts(board)
    if level is None:
        measured = "pmu" in board.names or "gauge" in board.names
        return None, "none connected, or no answer" if measured else "this board does not measure it"
    if level < _CONNECTED:
        return None, "none connected (%d mV)" % level
    if level < _CHARGED:
        return False, "flat: %d mV; charge or replace it" % level
    if level > _MOST:
        return False, "%d mV is more than a cell has: is the board file's divider right?" % level
    return True, "%d mV" % level


def _scan(board):
    if "i2c_sda" not in board.names:
        return None, "this board has no I2C pins"
    found = board.i2c().scan()
    return None, "I2C: " + (", ".join("0x%02x" % address for address in found) or "nothing answers")


def _sensor(board, given, slot):
    """Two checks: that the chip answers on its bus and is the right one, and that it measures."""
    name = given.get(slot) or sensors.choices(given["kind"], slot)[0]
    if name == "none":
        return
    if name == "pir":
        _say(slot, None, "pir: a pin cannot be asked who it is; walk by it in `borne sensor-test`")
        return
    bays = given.get("bays", 1) if slot == "sensor" else 1
    by_i2c = sensors.row(name)[3] == sensors.I2C
    if by_i2c:
        open_bay = Switched(opener(given, board, slot), board, bays)
        _ask(_of("bus", slot), _each, name, bays, open_bay)
    _ask(slot, _each, name, bays, lambda bay: Probe(name, board, bay if bays > 1 else None).read())


def _of(check, slot):
    return check if slot == "sensor" else "%s of %s" % (check, slot)


def _each(name, bays, ask):
    """One answer for all bays, which names those that fail."""
    failed = []
    for bay in range(bays):
        try:
            ask(bay)
        except SensorFault as fault:
            if fault.reason not in _ANSWERS:
                failed.append((bay, str(fault)))
        except KeyError as missing:
            return False, "%s: this board has no pin %s" % (name, missing)
        except (OSError, ValueError) as error:
            failed.append((bay, "%s: %s" % (name, error)))
    if not failed:
        return True, "%s answers%s" % (name, " in %d bays" % bays if bays > 1 else "")
    if bays == 1:
        return False, failed[0][1]
    return False, "; ".join("bay %d: %s" % (bay + 1, said) for bay, said in failed)
