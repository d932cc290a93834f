"""The dataset in S3: its objects and their rows, batch by batch; and the rejected rows and plans beside it."""

import hashlib
import io
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from awswrangler.exceptions import NoFilesFound
from awswrangler.s3._fs import open_s3_object
from botocore.exceptions import ClientError

from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.reading.dataset import MAX_KEY_BYTES, is_in_dataset
from functions.refresh.reading.description import Description, check_file, describe
from functions.refresh.reading.parquet_file import Columns, errors_of
from functions.refresh.reading.row_groups import Batch, has_large_group, read_groups, read_large_groups
from functions.refresh.settings import PLANS_PREFIX, REJECTED_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GONE = {"404", "NoSuchKey", "412", "PreconditionFailed"}

# One request fetches the end of an object, where the footer of parquet is; a longer footer takes more requests.
_TAIL_BYTES = 65_536


class ObjectChangedError(Exception):
    """An object was overwritten or deleted while it was read, so what was read of it is void."""


class ObjectVersion(NamedTuple):
    """A version of a key's content."""

    etag: str
    size: int


class Part(NamedTuple):
    """One of the parts in which an object is counted. Together they hold all its row groups."""

    number: int = 0
    parts: int = 1

    def row_groups(self, count: int) -> range:
        """Return this part's row groups; none if there are more parts than row groups.

        Examples
        --------
        >>> [list(Part(number, 3).row_groups(5)) for number in range(3)]
        [[0], [1, 2], [3, 4]]
        """
        return range(count * self.number // self.parts, count * (self.number + 1) // self.parts)


WHOLE = Part()
"""All of an object."""


class _ClientOfKey:
    """An S3 client for awswrangler that asks for one key, whatever path awswrangler was given.

    awswrangler parses paths as URLs and interprets `s3://` and `:accesspoint/` anywhere in them, but a key may contain
    both.
    """

    def __init__(self, client: "S3Client", key: str) -> None:
        self._client = client
        self._key = key
        self.exceptions = client.exceptions

    def head_object(self, **request: Any) -> Any:
        return self._client.head_object(**{**request, "Key": self._key})

    def get_object(self, **request: Any) -> Any:
        return self._client.get_object(**{**request, "Key": self._key})


@dataclass(frozen=True)
class Bucket:
    """The objects of the dataset: those of a bucket whose keys begin with a prefix."""

    name: str
    prefix: str

    @cached_property
    def _client(self) -> "S3Client":
        return boto3.client("s3")

    def is_in_dataset(self, key: str) -> bool:
        """Return whether a key belongs to the dataset."""
        return is_in_dataset(key, self.prefix)

    def versions(self, prefix: str = "") -> Iterator[tuple[str, ObjectVersion]]:
        """List the dataset, or the part of it under a longer prefix: each key with the version that it holds now."""
        return ((key, version) for key, version in self.objects(prefix) if version is not None)

    def objects(self, prefix: str = "") -> Iterator[tuple[str, ObjectVersion | None]]:
        """List all objects under the prefix, or a longer one; those outside the dataset have None for a version."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix or self.prefix)
        for page in pages:
            for found in page.get("Contents", []):
                if self.is_in_dataset(found["Key"]):
                    yield found["Key"], ObjectVersion(found["ETag"], found["Size"])
                elif not (found["Key"].endswith("/") and found["Size"] == 0):  # the console's marker of a folder
                    yield found["Key"], None

    def version(self, key: str) -> ObjectVersion | None:
        """Return the version that a key holds now; None when there is no object, or it is not part of the dataset."""
        if not self.is_in_dataset(key):
            return None
        try:
            found = self._client.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return None
            raise
        return ObjectVersion(found["ETag"], found["ContentLength"])

    def describe(self, key: str, version: ObjectVersion, columns: Columns) -> Description:
        """Read the metadata of one version of an object; raises what `shares` raises."""
        with _errors_of(key), self._open(key, version) as source:
            return describe(source, version.size, columns)

    def shares(
        self, key: str, version: ObjectVersion, columns: Columns, count: int, part: Part = WHOLE
    ) -> list[Iterator[Batch]]:
        """Split one version of an object into shares that threads may read at the same time.

        Parameters
        ----------
        version : ObjectVersion
            The version that every request to S3 asks for.
        count : int
            How many shares at most: the row groups are dealt out to them.

        Returns
        -------
        list of iterator of Batch
            The needed columns with the types that they have in the object, text as dictionaries, about
            100,000 rows at a time. The iterators raise the errors below too.

        Raises
        ------
        ObjectError
            When the object is empty, not parquet, damaged, or lacks a column.
        ObjectChangedError
            When the key does not hold this version any more.
        botocore.exceptions.ClientError
            When S3 refuses.
        """
        with _errors_of(key), ExitStack() as opened:
            source = opened.enter_context(self._open(key, version))
            description = check_file(source, version.size, columns)
            groups = part.row_groups(description.metadata.num_row_groups)
            if has_large_group(description, groups):
                return [self._large_groups(key, version, description, groups)]
            first = _already_open(opened.pop_all(), source)
        dealt = [groups[number::count] for number in range(min(count, len(groups)) or 1)]
        opening = [first, *(self._open(key, version) for _ in dealt[1:])]
        return [self._share(key, description, *share) for share in zip(dealt, opening, strict=True)]

    def _share(
        self,
        key: str,
        description: Description,
        groups: Sequence[int],
        opening: AbstractContextManager[Any],
    ) -> Iterator[Batch]:
        with _errors_of(key), opening as source:
            yield from read_groups(source, description, groups)

    def _large_groups(
        self, key: str, version: ObjectVersion, description: Description, groups: range
    ) -> Iterator[Batch]:
        with _errors_of(key), ExitStack() as opened:
            sources = [opened.enter_context(self._open(key, version)) for _ in description.needed]
            yield from read_large_groups(sources, description, groups)

    def put_rejected(self, key: str, version: ObjectVersion, rows: pa.Table, part: Part = WHOLE) -> None:
        """Write the rejected rows of one version of an object, or of a part; doing so again replaces them."""
        body = io.BytesIO()
        pq.write_table(rows, body)
        etag = version.etag.strip('"')
        suffix = "" if part == WHOLE else f".{part.number + 1}-of-{part.parts}"
        name = f"{REJECTED_PREFIX}{key}.{etag}{suffix}.parquet"
        if len(name.encode()) > MAX_KEY_BYTES:
            name = f"{REJECTED_PREFIX}{hashlib.sha256(key.encode()).hexdigest()}.{etag}{suffix}.parquet"
        self._client.put_object(Bucket=self.name, Key=name, Body=body.getvalue())

    def put_plan(self, plan: IO[bytes]) -> str:
        """Upload a plan from the file's current position, and return its key."""
        key = f"{PLANS_PREFIX}{uuid.uuid4()}.json"
        self._client.upload_fileobj(plan, self.name, key)
        return key

    def _open(self, key: str, version: ObjectVersion) -> AbstractContextManager[Any]:
        if version.size == 0:
            raise ObjectError("is empty (0 bytes)")
        client: Any = _ClientOfKey(self._client, key)
        return open_s3_object(
            f"s3://{self.name}/object",
            mode="rb",
            use_threads=False,
            s3_client=client,
            s3_block_size=_TAIL_BYTES,
            s3_additional_kwargs={"IfMatch": version.etag},
        )


@contextmanager
def _already_open(opened: ExitStack, source: Any) -> Iterator[Any]:
    with opened:
        yield source


@contextmanager
def _errors_of(key: str) -> Iterator[None]:
    """Raise `ObjectChangedError` when the version is gone, and what `errors_of` raises when it cannot be read."""
    try:
        with errors_of(key):
            yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            raise ObjectChangedError(key) from error
        raise
    except NoFilesFound as error:
        raise ObjectChangedError(key) from error
