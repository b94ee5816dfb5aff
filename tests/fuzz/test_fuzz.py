"""Whatever comes in, no decoder breaks: a short run of the same targets that `make fuzz` tries for as long as one likes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import targets
from glossator_providers import dialects


@pytest.mark.parametrize("name", targets.TARGETS)
def test_nothing_but_a_provider_error_comes_out(name: str) -> None:
    """Bent, cut and damaged input gives well-formed results or one clear failure, the same for every split of the bytes."""
    target = targets.TARGETS[name]

    @settings(max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.inputs())
    def tried(given: targets.Given) -> None:
        target.check(given)

    tried()


def test_every_decoder_is_tried() -> None:
    """A dialect with a reader of its own is a target of its own."""
    tried = {dialects.get(name).decoder for name in targets.ROWS_OF}
    assert {dialect.decoder for dialect in dialects.DIALECTS.values()} == tried


@given(st.builds(targets.Given, st.binary(), st.just((0, 1)), st.integers(), st.just((("a", "\ud800"),))))
def test_an_input_can_be_given_again(given: targets.Given) -> None:
    """The line that a failure prints is the whole input."""
    assert targets.Given.of(given.line()) == given
