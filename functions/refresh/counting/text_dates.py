"""Replace many text dates by their few days, with Arrow: reading them one by one would take seconds."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.days import OFFSET_PATTERN, OWN_DAY_PATTERN, WHITE_SPACE

_OWN_DAY = f"^(?:{OWN_DAY_PATTERN})$"
_OFFSET = f"^(?:{OFFSET_PATTERN})$"

# What to append to a date so that it means the UTC day before, the day itself, and the day after.
_TIMES = ["T00:00+00:01", "", "T23:59-00:01"]

Digits = npt.NDArray[np.int32]


def shorten(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Cut the texts of a dictionary down to their days, if the grammar of text dates (docs/data-rules.md) reads them.

    Other texts stay as they are; all of them do if one is not UTF-8.
    """
    texts = column.dictionary
    try:
        is_own_day = pc.match_substring_regex(texts, _OWN_DAY)
        short = pc.if_else(is_own_day, pc.utf8_slice_codeunits(texts, 0, 10), texts)
        if not pc.all(is_own_day).as_py():
            others = pc.invert(is_own_day)
            short = pc.replace_with_mask(short, others, _shorten_others(texts.filter(others)))
    except pa.ArrowInvalid:
        return column
    days = short.dictionary_encode()
    return pa.DictionaryArray.from_arrays(days.indices.take(column.indices), days.dictionary)


def _shorten_others(texts: pa.Array) -> pa.Array:
    """Cut down texts with white space around them or with an offset."""
    trimmed = pc.ascii_trim(texts, characters=WHITE_SPACE)
    is_own_day = pc.match_substring_regex(trimmed, _OWN_DAY)
    has_offset = pc.and_not(pc.match_substring_regex(trimmed, _OFFSET), is_own_day)
    short = pc.if_else(is_own_day, pc.utf8_slice_codeunits(trimmed, 0, 10), texts)
    return pc.replace_with_mask(short, has_offset, _in_utc(trimmed.filter(has_offset)))


def _in_utc(texts: pa.Array) -> pa.Array:
    """Replace the time of texts with an offset by one that gives the same UTC day."""
    time, zone = _characters(texts, 11, 16), _characters(texts, -6, None)
    # +01:00, +0100 or +01
    sign = np.where(zone[:, 3] == ord(":"), 0, np.where(np.isin(zone[:, 3], [ord("+"), ord("-")]), 3, 1))
    has_minutes = sign != 3
    rows = np.arange(len(zone))
    hours = _number(zone[rows, sign + 1], zone[rows, sign + 2])
    minutes = np.where(has_minutes, _number(zone[:, 4], zone[:, 5]), 0)
    offset = (hours * 60 + minutes) * np.where(zone[rows, sign] == ord("+"), 1, -1)
    in_utc = _number(time[:, 0], time[:, 1]) * 60 + _number(time[:, 3], time[:, 4]) - offset
    times = pa.array(_TIMES, texts.type).take(pa.array(in_utc // (24 * 60) + 1))
    return pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, 10), times, pa.scalar("", texts.type))


def _characters(texts: pa.Array, start: int, stop: int | None) -> npt.NDArray[np.uint8]:
    """Return some characters of ASCII texts, a row for each text."""
    width = stop - start if stop else -start
    part = pc.binary_slice(texts.cast(pa.large_binary()), start, stop).cast(pa.binary(width))
    return np.frombuffer(part.buffers()[1], np.uint8, len(part) * width, part.offset * width).reshape(-1, width)


def _number(tens: npt.NDArray[np.uint8], ones: npt.NDArray[np.uint8]) -> Digits:
    number: Digits = (tens.astype(np.int32) - ord("0")) * 10 + ones - ord("0")
    return number
