"""LocalStack's plug-in `process`: Lambda functions as processes of this machine."""

from typing import Any

from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from infra.localstack.process import SandboxError, runtime_python
from infra.localstack.sandbox import Function, Sandbox

_LOCALHOST = "127.0.0.1"


class ProcessExecutor(RuntimeExecutor):
    """One execution environment of a function, as LocalStack asks for it."""

    _sandbox: Sandbox

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unzip a function's package.

        Raises
        ------
        SandboxError
            When the function cannot run here; LocalStack gives it as the reason for the state `Failed`.
        """
        config = function_version.config
        if config.layers or not config.code:
            raise SandboxError(f"{function_version.id.function_name}: only functions of a zip file, without layers")
        runtime_python(config.runtime)
        config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Leave the package, which LocalStack removes itself."""

    def start(self, env_vars: dict[str, Any]) -> None:
        """Make the environment; its process starts with the first invocation."""
        version, config = self.function_version.id, self.function_version.config
        function = Function(
            name=version.function_name,
            handler=config.handler,
            runtime=config.runtime,
            code=config.code.get_unzipped_code_location(),
            memory_mb=config.memory_size,
            timeout_seconds=config.timeout,
            environment={name: str(value) for name, value in env_vars.items()},
        )
        self._sandbox = Sandbox(function)

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Run the function once."""
        outcome = self._sandbox.invoke(
            payload["payload"].encode(),
            request_id=payload["invoke-id"],
            function_arn=payload["invoked-function-arn"],
            version=self.function_version.id.qualifier,
            trace_id=payload["trace-id"],
        )
        return InvocationResult(payload["invoke-id"], outcome.payload, is_error=outcome.is_error, logs=outcome.logs)

    def stop(self) -> None:
        """End the process."""
        self._sandbox.stop()

    def get_logs(self) -> str:
        """Return nothing: every invocation brings its logs along."""
        return ""

    def get_address(self) -> str:
        """Return where the function is."""
        return _LOCALHOST

    def get_endpoint_from_executor(self) -> str:
        """Return where the function finds LocalStack."""
        return _LOCALHOST

    def get_runtime_endpoint(self) -> str:
        """Return an address for LocalStack's own program in its containers, of which there is none here."""
        return f"http://{_LOCALHOST}"


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    """What LocalStack looks for, by the entry point in `plugin/`."""

    name = "process"

    def load(self, *_: Any, **__: Any) -> type[ProcessExecutor]:
        """Return the executor."""
        return ProcessExecutor
