"""How many streams the contract abandons."""

import os

ABANDONED = 10_000 if os.environ.get("HVOBS_LONG_RUN") == "true" else 200
"""All of the contract's where tests may take long, as ``make test-sources`` does; the frameworks
take 5 to 15 ms for each. What one leaves open is seen among few, too; many show what grows."""
