"""Build and deploy the stack with the SAM command line."""

import os
import subprocess
import urllib.request
from collections.abc import Mapping

from infra import ROOT
from infra.operations.commands import migrate
from infra.operations.deployed import Deployed, OperationError
from infra.packaging.build import DEFAULT_ARCHITECTURE, DEFAULT_RUNTIME

_SAM = ROOT / ".local" / "tools" / "sam"


def deploy(stack: Deployed, overrides: Mapping[str, str], *, guided: bool) -> None:
    """Build both functions, deploy the template, bring the schema up to date.

    Parameters
    ----------
    stack : Deployed
        The stack; it need not be there yet.
    overrides : mapping of str to str
        Parameters to change; the others keep the values that they have.
    guided : bool
        Whether SAM asks for each parameter.

    Raises
    ------
    OperationError
        When a step fails, or the place is one where it would never end.
    """
    exists = stack.exists
    if exists and _is_localstack(stack.endpoint):
        raise OperationError(
            "LocalStack cannot change the API of a stack that is there:"
            " make down and make up-localstack, or name another by STACK="
        )
    known = {**(stack.parameters if exists else {}), **overrides}
    # SAM does not hand parameters to the build, which has to be for the same runtime.
    environment = {
        **os.environ,
        "RUNTIME": known.get("Runtime", DEFAULT_RUNTIME),
        "ARCHITECTURE": known.get("Architecture", DEFAULT_ARCHITECTURE),
        "SAM_CLI_TELEMETRY": "0",
    }
    config = ["--config-file", str(ROOT / "samconfig.toml")]
    config += ["--config-env", "local" if stack.endpoint else "default"]
    _sam(["build", *config], environment)
    options = ["--stack-name", stack.name, *(["--guided"] if guided else [])]
    if overrides:
        options += ["--parameter-overrides", *(f'{name}="{value}"' for name, value in overrides.items())]
    _sam(["deploy", *config, *options], environment)
    deployed = Deployed(stack.name)  # asked anew
    migrate(deployed)
    print(f"{deployed.place}: deployed; the API answers at {deployed.api_url}")


def _is_localstack(endpoint: str | None) -> bool:
    # Ministack answers on LocalStack's path too.
    return (
        bool(endpoint) and _answers(f"{endpoint}/_localstack/health") and not _answers(f"{endpoint}/_ministack/health")
    )


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except OSError:
        return False


def _sam(arguments: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run([str(_SAM / "bin" / "sam"), *arguments], cwd=ROOT, env=dict(environment), check=False)
    if done.returncode != 0:
        raise OperationError(f"sam {arguments[0]} ended with status {done.returncode}; what it printed says why")
