"""What a downlink may ask of the node. Nothing here can weaken the release: the table offers no such setting."""

from borne_node import health, settings
from borne_node.errors import SettingsError
from borne_node.report import codec, schema


def obey(node, port, payload):
    """Carry out one downlink; what is no command of this version is refused and said on the console."""
    try:
        if port != schema.COMMAND:
            raise schema.FrameError(port, None, None, "carries no commands")
        command, *values = codec.decode(port, payload).values
        _CARRY_OUT[command](node, *values)
    except (schema.FrameError, SettingsError) as problem:
        print("borne: downlink refused: %s" % problem)


def _set(node, setting, value):
    changed = dict(node.settings)
    changed[schema.SETTABLE[setting]] = value
    # A node of another kind, or a value out of range, is refused here; the sensor sees it at the next wake.
    node.settings = settings.validate(changed)
    settings.save(node.settings)
    node.post.keep(*health.echo(node.settings))


def _send_health(node):
    node.send_health()


def _send_settings(node):
    node.post.keep(*health.echo(node.settings))


def _resend(node, port, first, count):
    # What was released may be repeated: the same values, nothing new. Older ones than the gate keeps are gone.
    window_s, _, room = schema.row(port)[1:4]
    last = first + count
    kept = node.gate.history(port, last) if window_s and room else ()
    for back, values in enumerate(kept[:count]):
        if values is not None:
            node.post.keep(port, codec.encode(port, last - 1 - back, values))


def _reboot(node):
    node.reboot = True


_CARRY_OUT = {
    schema.SET: _set,
    schema.SEND_HEALTH: _send_health,
    schema.SEND_SETTINGS: _send_settings,
    schema.RESEND: _resend,
    schema.REBOOT: _reboot,
}
