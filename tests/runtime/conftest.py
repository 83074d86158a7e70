"""What the tests of the runtime share: the reader with the model that comes with lettercast."""

import pytest

from lettercast.runtime import Reader


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader()
