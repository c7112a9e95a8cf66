"""What authors of plugins prove theirs with: classes of tests to be subclassed, and checks."""

from .payloads import check_payloads
from .store_contract import StoreContract

__all__ = ["StoreContract", "check_payloads"]
