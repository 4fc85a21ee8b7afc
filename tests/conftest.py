"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# A shared core is no yardstick.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
