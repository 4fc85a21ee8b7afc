"""The air between virtual boards: LoRa frames with time on air, collisions and loss; gateways; a network server.

What a simulated radio chip sends (virtual/silicon) is heard by gateways, which speak Semtech's UDP protocol to any
network server; what that answers is heard by the chips. Simulated time, seeded: the same seed, the same air.
"""

from borne.virtual.air.air import Air, Law
from borne.virtual.air.gateway import Gateway
from borne.virtual.air.propagation import Place

__all__ = ["Air", "Gateway", "Law", "Place"]
