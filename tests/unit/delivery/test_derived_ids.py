"""Ids that are derived, so that a retry carries those of the first attempt (ruling 18)."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from hub.delivery.composing import NAMESPACE, derived_id


@given(st.text(max_size=100))
def test_a_derived_id_is_the_name_based_uuid_of_its_words(words: str) -> None:
    assert derived_id(words) == str(uuid.uuid5(NAMESPACE, words))
