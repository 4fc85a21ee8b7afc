"""The node's own tables: format, meaning, policy."""

from borne_node.privacy import policy
from borne_node.report import meaning, schema


def main(tell):
    for port, (name, _, bits, room, fields) in sorted(schema.TABLE.items()):
        tell(
            {"port": port, "name": name, "bits": bits, "room": room, "fields": [list(one) for one in fields]}
        )
    for key, row in meaning.ROWS.items():
        tell({"meaning": list(key), "text": row.text, "privacy": row.privacy, "epsilon": row.epsilon})
    for row in policy.TABLE:
        tell({"policy": row.profile, "port": row.port, "epsilon": row.epsilon, "step": row.step})
    tell({"digest": policy.digest().hex()})
