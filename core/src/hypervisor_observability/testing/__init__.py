"""What authors of plugins prove theirs with: classes of tests, to be subclassed."""

from .store_contract import StoreContract

__all__ = ["StoreContract"]
