"""Calling the SAM command line, with the settings in `samconfig.toml`."""

from collections.abc import Mapping
from pathlib import Path

from infra import ROOT

FOLDER = ROOT / ".local" / "tools" / "sam"
"""Where it is installed."""


def sam_command(name: str, *options: str | Path, on_emulator: bool) -> list[str | Path]:
    """Return the command line that builds or deploys with the project's settings for AWS or for an emulator."""
    environment = "local" if on_emulator else "default"
    program, settings = FOLDER / "bin" / "sam", ROOT / "samconfig.toml"
    return [program, name, "--config-file", settings, "--config-env", environment, *options]


def parameter_override(name: str, value: object) -> str:
    """Return a parameter as SAM reads it among the overrides, whatever quotes and spaces its value holds."""
    escaped = str(value).replace('"', '\\"')
    return f'{name}="{escaped}"'


def sam_environment(variables: Mapping[str, str], *, on_emulator: bool, **added: str) -> dict[str, str]:
    """Return variables with others added, and SAM's telemetry switched off.

    SAM asks AWS every five seconds how far a deployment is. An emulator is asked more often: it deploys in seconds.
    """
    often = {"SAM_CLI_POLL_DELAY": "0.2"} if on_emulator else {}
    return {**variables, **often, **added, "SAM_CLI_TELEMETRY": "0"}
