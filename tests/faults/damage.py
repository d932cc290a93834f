"""Reading damaged objects, many in a process of their own: a crash or a hang ends that process only."""

import json
import os
import resource
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from random import Random

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.counting.usage import Usage
from functions.refresh.reading import row_groups
from functions.refresh.reading.bucket import Bucket
from tests.faults.world import some_rows
from tests.shipped import SHIPPED
from tests.support import BUCKET, PREFIX
from tests.writers.files import SPARK

# What a damaged object may ask of memory beyond what Lambda has is refused as it is there.
_MOST_BYTES = 6 * 2**30

_CODECS = ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]


def good_file(random: Random) -> bytes:
    """Write good records in one of the forms that parquet has for them."""
    table = pa.Table.from_pylist(some_rows(random) * random.choice([1, 20]))
    buffer = BytesIO()
    pq.write_table(
        table, buffer, compression=random.choice(_CODECS), use_dictionary=random.random() < 0.5,
        data_page_version=random.choice(["1.0", "2.0"]), row_group_size=random.choice([5, 1000]),
        write_page_checksum=random.random() < 0.2, write_page_index=random.random() < 0.2,
    )  # fmt: skip
    return buffer.getvalue()


def damage(content: bytes, random: Random) -> bytes:
    """Damage a file in one of many ways."""
    damaged = bytearray(content)
    way = random.randrange(6)
    if way == 0:
        return content[: random.randrange(len(content))]
    if way == 1:
        return random.randbytes(random.randrange(1, 200))
    # The footer is what a reader believes, so half of the damage is done there.
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    first = footer if random.random() < 0.5 else 0
    for _ in range(random.choice([1, 1, 2, 10])):
        at = random.randrange(first, len(damaged))
        if way == 2:
            damaged[at] ^= 1 << random.randrange(8)
        elif way == 3:
            damaged[at] = random.choice([0, 1, 127, 128, 255])
        elif way == 4:
            del damaged[at : at + random.randrange(1, 9)]
        else:
            damaged[at:at] = random.randbytes(random.randrange(1, 9))
    return bytes(damaged)


def read(bucket: Bucket, key: str) -> Usage | None:
    """Read an object as the refresh does; None where it is refused with an `ObjectError`."""
    version = bucket.version(key)
    assert version
    try:
        usage = Usage(SHIPPED)
        for batches in bucket.shares(key, version, SHIPPED.columns, 2):
            for first_row, records in batches:
                usage.add(records, first_row)
        assert usage.table.num_rows >= 0
    except ObjectError:
        return None
    return usage


def foreign_file(random: Random) -> bytes:
    """Take a file that a writer of someone else made."""
    paths = [*Path(os.environ["FOREIGN_FILES"]).glob("*.parquet"), *SPARK.glob("*.parquet")]
    return random.choice(sorted(paths)).read_bytes()


def read_damaged(
    seeds: range, environ: Mapping[str, str], folder: str, make: Callable[[Random], bytes] = good_file
) -> None:
    """Read a damaged file for each seed; `report` holds the seed under way, then the errors of other kinds by seed."""
    os.environ.update(environ)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    report = Path(folder, "report")
    s3 = boto3.client("s3")
    bucket = Bucket(BUCKET, PREFIX)
    wrong: dict[int, str] = {}
    for seed in seeds:
        report.write_text(json.dumps({"message": f"seed {seed} ended the process, or hangs"}))
        random = Random(seed)
        key = f"{PREFIX}{seed}.parquet"
        s3.put_object(Bucket=BUCKET, Key=key, Body=damage(make(random), random))
        try:
            read(bucket, key)
        except Exception as error:
            wrong[seed] = f"{type(error).__name__}: {error}"[:300]
        s3.delete_object(Bucket=BUCKET, Key=key)
    report.write_text(json.dumps({"summary": wrong}))


def read_damaged_as_large(seeds: range, environ: Mapping[str, str], folder: str) -> None:
    """Do as `read_damaged` what is done of large row groups, which would take long to write and damage."""
    row_groups._MAX_FETCHED_BYTES = -1
    read_damaged(seeds, environ, folder)


def read_damaged_foreign(seeds: range, environ: Mapping[str, str], folder: str) -> None:
    """Do as `read_damaged` with files that other writers made."""
    read_damaged(seeds, environ, folder, foreign_file)


def read_damaged_foreign_as_large(seeds: range, environ: Mapping[str, str], folder: str) -> None:
    """Do as `read_damaged_as_large` with files that other writers made."""
    row_groups._MAX_FETCHED_BYTES = -1
    read_damaged(seeds, environ, folder, foreign_file)
