"""A right source passes the whole contract."""

from tests.crew.crew_contract import CrewContract


class TestCrewSource(CrewContract):
    """Nothing beside."""
