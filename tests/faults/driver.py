"""One invocation of the refresh function in a process of its own, which may be killed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from functions.refresh.handler import handler
from tests.families import pin_families
from tests.support import Context

# Read once, before the processes fork: what S3's client is made of takes longer than a refresh.
boto3.client("s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing").close()


def invoke(event: Mapping[str, Any], environ: Mapping[str, str], folder: str) -> None:
    """Invoke the function as Lambda does, with its output in `log` and its outcome in `report`."""
    pin_families()
    os.environ.update(environ)
    log = os.open(Path(folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    try:
        report: dict[str, Any] = {"summary": handler(dict(event), Context())}  # type: ignore[arg-type]
    except Exception as error:
        report = {"error": type(error).__name__, "message": str(error)}
    Path(folder, "report").write_text(json.dumps(report))
