"""A refresh that is killed, anywhere: the next one ends in a recount of the bucket."""

from random import Random
from time import monotonic

import pytest

from tests.faults.world import World, cases
from tests.support import daily

_KILLS = 3


@pytest.mark.parametrize("seed", cases(short=5, full=70))
def test_a_refresh_killed_at_any_moment_leaves_exact_counts(world: World, seed: int) -> None:
    """Given a bucket that changes between kills at random moments, when a refresh is left alone, then all is exact."""
    random = Random(seed)
    world.change(random)
    started = monotonic()
    world.start(daily(str(world.day))).wait()
    world.has_looked()
    usual = monotonic() - started
    for _ in range(_KILLS):
        for _ in range(random.randint(1, 4)):
            world.change(random)
        run = world.start(daily(str(world.day)))
        run.kill(after_seconds=random.uniform(0, 1.1 * usual))
        run.wait()
        world.may_have_looked()

    world.refresh()

    world.check_all_counted()
