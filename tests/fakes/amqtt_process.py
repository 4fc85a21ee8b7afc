"""amqtt as a process of its own: amqtt_process.py JSON, with listeners, user and password; ends by SIGTERM."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

TASK = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


class OneUser(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool:
        return (session.username, session.password) == (TASK["user"], TASK["password"])


async def main() -> None:
    logging.disable(logging.CRITICAL)
    plugins = {f"{__name__}.{OneUser.__name__}": {}}
    broker = Broker({"listeners": TASK["listeners"], "plugins": plugins})
    await broker.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("amqtt running", file=sys.stderr, flush=True)
    await stop.wait()
    # Its own shutdown waits for ever for a client that is just leaving.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
