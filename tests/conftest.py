import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.postgres import Cluster  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """A PostgreSQL server of the test module's own: roles are cluster-wide, so modules do not share."""
    server = Cluster()
    yield server
    server.drop()
