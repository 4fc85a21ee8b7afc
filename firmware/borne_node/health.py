"""How the node itself is: a report at start-up and daily, and the echo of its settings on request."""

from borne_node import __version__, power, settings
from borne_node.privacy import policy
from borne_node.report import codec, schema

PERIOD_S = 24 * 3600
_HASH_SIZE = 4


def report(board, given, reset_cause, dropped):
    """(port, payload) of the health report of a node with the settings `given`."""
    major, minor, patch = (int(part) for part in __version__.split("."))
    values = (
        power.millivolts(board),
        board.temperature(),
        reset_cause,
        major,
        minor,
        patch,
        policy.digest()[:_HASH_SIZE],
        settings.digest(given)[:_HASH_SIZE],
        dropped,
    )
    return schema.HEALTH, codec.encode(schema.HEALTH, None, values)


def echo(given):
    """(port, payload) of the settings that a downlink may want to see again."""
    values = (
        schema.KINDS.index(given["kind"]),
        schema.PROFILES.index(given["profile"]),
        given.get("bays"),
        given.get("refractory_s"),
        given.get("depth_mm"),
        given.get("offset_mm"),
        settings.digest(given)[:_HASH_SIZE],
    )
    return schema.SETTINGS, codec.encode(schema.SETTINGS, None, values)
