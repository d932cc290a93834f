"""How many objects are counted at once: small ones wait for S3, large ones would fill memory and take turns."""

import pytest

from functions.refresh.usecases import walk

MIB = 2**20


@pytest.mark.parametrize(("under_way", "size", "can_start"), [
    ([1] * 7, 1, True),
    ([1] * 8, 1, False),
    ([24 * MIB], 24 * MIB, True),
    ([24 * MIB], 24 * MIB + 1, False),
    ([8 * MIB] * 5, 8 * MIB, True),
    ([8 * MIB + 1] * 2, 8 * MIB + 1, True),
    ([8 * MIB + 1] * 3, 8 * MIB, True),
    ([8 * MIB + 1] * 3, 8 * MIB + 1, False),
])  # fmt: skip
def test_an_object_is_counted_beside_others_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch, under_way: list[int], size: int, can_start: bool
) -> None:
    monkeypatch.setattr(walk, "PROCESSORS", 2)
    assert walk.can_start(under_way, size) is can_start
