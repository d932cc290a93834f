"""LocalStack on this machine: `python -m infra.localstack`, on a Python that has it installed.

Settings are LocalStack's own variables. Four things it has no setting for: it listens on every address whatever
GATEWAY_LISTEN says, keeps objects in a folder that all users of the machine share, writes a function's logs to
another group than its LoggingConfig names, and url-encodes keys in events, which S3 hands to EventBridge as they are.
"""

import dataclasses
import functools
import tempfile
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


if __name__ == "__main__":
    endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")
    provider.DEFAULT_S3_TMP_DIR = str(Path(tempfile.gettempdir(), "s3"))
    ExecutionEnvironment.get_log_group_name = _log_group
    EventBridgeNotifier._get_event_payload = staticmethod(_event)
    main()
