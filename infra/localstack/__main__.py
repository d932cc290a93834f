"""LocalStack on this machine: `python -m infra.localstack`, on a Python that has it installed.

Settings are LocalStack's own variables. Five things it has no setting for: it listens on every address whatever
GATEWAY_LISTEN says, keeps objects in a folder that all users of the machine share, writes a function's logs to
another group than its LoggingConfig names, url-encodes keys in events, which S3 hands to EventBridge as they are, and
runs Step Functions on Python 3.13 only, for one annotation.
"""

import dataclasses
import functools
import importlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from localstack.runtime.main import main
from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment
from localstack.services.s3 import provider
from localstack.services.s3.notifications import EventBridgeNotifier
from twisted.internet import endpoints


def _log_group(environment: ExecutionEnvironment) -> str:
    version = environment.function_version
    return str(version.config.logging_config.get("LogGroup") or f"/aws/lambda/{version.id.function_name}")


_make_event = EventBridgeNotifier._get_event_payload


def _event(context: Any, config_id: Any = None) -> Any:
    return _make_event(dataclasses.replace(context, key_name=unquote(context.key_name)), config_id)


class _Lock:
    """Makes locks as `threading.Lock` does, and may stand in an annotation as it may from Python 3.13 on."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    def __call__(self) -> object:
        return self._make()

    def __or__(self, _: object) -> Any:
        return Any


def _import_packages() -> None:
    make = threading.Lock
    threading.Lock = _Lock(make)  # type: ignore[assignment]
    try:
        importlib.import_module("localstack.packages.api")
    finally:
        threading.Lock = make


if __name__ == "__main__":
    _import_packages()
    endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")
    provider.DEFAULT_S3_TMP_DIR = str(Path(tempfile.gettempdir(), "s3"))
    ExecutionEnvironment.get_log_group_name = _log_group
    EventBridgeNotifier._get_event_payload = staticmethod(_event)
    main()
