"""What a downlink may ask of the node. Nothing here can weaken the release: the table offers no such setting."""

from borne_node import health, settings
from borne_node.errors import SettingsError
from borne_node.past import Past
from borne_node.report import codec, schema


def obey(node, outbox, port, payload):
    """Carry out one downlink; what is no command of this version is refused and said on the console."""
    try:
        if port != schema.COMMAND:
            raise schema.FrameError(port, None, None, "carries no commands")
        command, *values = codec.decode(port, payload).values
        _CARRY_OUT[command](node, outbox, *values)
    except (schema.FrameError, SettingsError) as problem:
        print("borne: downlink refused: %s" % problem)


def _set(node, outbox, setting, value):
    changed = dict(node.settings)
    changed[schema.SETTABLE[setting]] = value
    # A node of another kind, or a value out of range, is refused here; the sensor sees it at the next wake.
    node.settings = settings.validate(changed)
    settings.save(node.settings)
    node.memory.write("settings", settings.digest(node.settings))
    _send_settings(node, outbox)


def _send_health(node, outbox):
    node.health_at = 0


def _send_settings(node, outbox):
    node.keep(outbox, *health.echo(node))


def _resend(node, outbox, port, first, count):
    # What was released may be repeated: the same values, nothing new. What is no longer kept is gone.
    bits = schema.row(port)[2]
    for window, values in Past(node.memory.read("past")).kept(port):
        if (window - first) % (1 << bits) < count:
            node.keep(outbox, port, codec.encode(port, window, values))


def _reboot(node, outbox):
    node.reboot = True


_CARRY_OUT = {
    schema.SET: _set,
    schema.SEND_HEALTH: _send_health,
    schema.SEND_SETTINGS: _send_settings,
    schema.RESEND: _resend,
    schema.REBOOT: _reboot,
}
