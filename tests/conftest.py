"""What all tests share."""

from hypothesis import HealthCheck, settings
from support.faults import FULL

# How long an example takes says more about what else the machine does; pytest-timeout looks after what hangs. A run has
# the same examples as the one before, so that it fails for a reason; with CODESESSIONS_FAULTS=full they are others.
settings.register_profile(
    "codesessions", deadline=None, derandomize=not FULL, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("codesessions")
