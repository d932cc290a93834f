"""What a build fails with."""


class BuildError(Exception):
    """A package cannot be built; the message says why and what to do about it."""
