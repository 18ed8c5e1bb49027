"""What all tests share."""

from hypothesis import settings

# How long an example takes says more about what else the machine does; pytest-timeout looks after what hangs.
settings.register_profile("codesessions", deadline=None)
settings.load_profile("codesessions")
