"""The error of a build."""


class BuildError(Exception):
    """A package cannot be built; the message says why and what to do about it."""
