"""The dataset in S3: which objects it has, and their rows batch by batch."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import awswrangler as wr
import boto3
import pyarrow as pa
from botocore.exceptions import ClientError

from functions.refresh.usage import COLUMNS, ObjectError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GONE = {"404", "NoSuchKey", "412", "PreconditionFailed"}


class ObjectChangedError(Exception):
    """An object was overwritten or deleted while it was read: what was read of it means nothing."""


class ObjectVersion(NamedTuple):
    """What tells one content of a key from another."""

    etag: str
    size: int


class Bucket:
    """The objects of the dataset.

    Parameters
    ----------
    name : str
        The bucket.
    prefix : str
        Keys of the dataset begin with it.
    """

    def __init__(self, name: str, prefix: str) -> None:
        self.name = name
        self.prefix = prefix

    @cached_property
    def _client(self) -> "S3Client":
        return boto3.client("s3")

    def has_in_dataset(self, key: str) -> bool:
        """Tell whether a key belongs to the dataset: `*.parquet*` under the prefix."""
        return key.startswith(self.prefix) and ".parquet" in key.rpartition("/")[2]

    def versions(self, prefix: str = "") -> Iterator[tuple[str, ObjectVersion]]:
        """List the dataset, or the part of it under a longer prefix: each key with the version that it holds now."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix or self.prefix)
        for page in pages:
            for found in page.get("Contents", []):
                if self.has_in_dataset(found["Key"]):
                    yield found["Key"], ObjectVersion(found["ETag"], found["Size"])

    def version(self, key: str) -> ObjectVersion | None:
        """Return the version that a key holds now, or None when there is no such object."""
        try:
            found = self._client.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return None
            raise
        return ObjectVersion(found["ETag"], found["ContentLength"])

    def batches(self, key: str, version: ObjectVersion) -> Iterator[pa.Table]:
        """Stream the needed columns of one version of an object, some ten thousand rows at a time.

        Parameters
        ----------
        key : str
            The object.
        version : ObjectVersion
            The version to read; every request to S3 asks for this one.

        Yields
        ------
        pyarrow.Table
            The columns `COLUMNS` with the types that they have in the object. At least one batch,
            empty if the object has no rows.

        Raises
        ------
        ObjectError
            When the object is empty, no parquet, damaged, or lacks a column.
        ObjectChangedError
            When the key does not hold this version any more.
        botocore.exceptions.ClientError
            When S3 refuses.
        """
        if version.size == 0:
            raise ObjectError("is empty (0 bytes)")
        # A list, because awswrangler takes a string as a prefix and reads the neighbours too.
        paths = [f"s3://{self.name}/{key}"]
        try:
            frames = wr.s3.read_parquet(
                paths,
                columns=COLUMNS,
                chunked=True,
                dtype_backend="pyarrow",
                s3_additional_kwargs={"IfMatch": version.etag},
            )
            for frame in frames:
                yield pa.Table.from_pandas(frame, preserve_index=False)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                raise ObjectChangedError(key) from error
            raise
        except wr.exceptions.NoFilesFound as error:
            raise ObjectChangedError(key) from error
        except KeyError as error:
            raise ObjectError(f"needed column missing: {error.args[0]}") from error
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ObjectError(f"is no readable parquet: {error}") from error
