"""The sample operators, registered while a test module that asks for them runs, and gone afterwards."""

from collections.abc import Iterator

import pytest
from sample_operators import SAMPLES

import bitloom.ir.operator


@pytest.fixture(scope="module")
def sample_operators() -> Iterator[None]:
    registry = {operator.name: operator for operator in SAMPLES} | dict(bitloom.ir.operator.operators())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitloom.ir.operator, "_REGISTRY", registry)
        yield
