"""Which objects belong to the dataset: parquet files, without the hidden files that writers leave behind."""

import re

MAX_KEY_BYTES = 1024
"""The limit of S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""

# Spark, Hive and others keep metadata and unfinished files under names that begin so, and skip
# them when they read: https://arrow.apache.org/docs/python/generated/pyarrow.dataset.FileSystemFactoryOptions.html
_HIDDEN = re.compile("/[_.]")

# Parquet is compressed inside the file, but some writers append the codec to `.parquet`.
_CODECS = "gz|gzip|snappy|zst|zstd|lz4|lz4_raw|br|brotli|bz2|lzo|none|uncompressed"
_NAME = re.compile(rf"[^/]+[.]parquet([.]({_CODECS}))?", re.IGNORECASE | re.ASCII)


def is_in_dataset(key: str, prefix: str) -> bool:
    """Return whether an object is part of the dataset under a prefix.

    Its name ends with `.parquet`, or with `.parquet` and a codec, in any case. No part of its path below the
    prefix begins with `_` or `.`.

    Examples
    --------
    >>> [is_in_dataset(key, "vouchers/") for key in ("vouchers/2020/A.PARQUET", "vouchers/a.parquet.gzip")]
    [True, True]
    >>> [is_in_dataset(key, "vouchers/") for key in ("vouchers/_temporary/0/a.parquet", "vouchers/a.parquet.bak")]
    [False, False]
    """
    # PostgreSQL's text holds no null character, so the ledger could not name such a key.
    if not key.startswith(prefix) or "\0" in key:
        return False
    below = key[len(prefix) - 1 :] if prefix else f"/{key}"
    return not _HIDDEN.search(below) and bool(_NAME.fullmatch(key.rpartition("/")[2]))
