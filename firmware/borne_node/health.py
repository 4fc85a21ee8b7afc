"""How the node itself is: a report at start-up and daily, and the echo of its settings on request."""

from borne_node import __version__, power
from borne_node.privacy import policy
from borne_node.report import codec, schema

_HASH_SIZE = 4


def report(node, dropped):
    """(port, payload) of the health report."""
    major, minor, patch = (int(part) for part in __version__.split("."))
    values = (
        power.millivolts(node.board),
        node.board.temperature(),
        node.cause,
        major,
        minor,
        patch,
        policy.digest()[:_HASH_SIZE],
        _settings_hash(node),
        dropped,
    )
    return schema.HEALTH, codec.encode(schema.HEALTH, None, values)


def echo(node):
    """(port, payload) of the settings that a downlink may want to see again."""
    given = node.settings
    values = (
        schema.KINDS.index(given["kind"]),
        schema.PROFILES.index(given["profile"]),
        given.get("bays"),
        given.get("refractory_s"),
        given.get("depth_mm"),
        given.get("offset_mm"),
        _settings_hash(node),
    )
    return schema.SETTINGS, codec.encode(schema.SETTINGS, None, values)


def _settings_hash(node):
    # app.read_settings left the digest of the settings file here.
    return node.memory.read("settings")[:_HASH_SIZE]
