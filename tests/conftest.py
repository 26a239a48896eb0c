"""Settings of all tests."""

from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a machine may be busy: no test asserts how long it takes
settings.load_profile("suite")
