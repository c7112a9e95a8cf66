"""Long runs that break something on purpose and measure what holds; see docs/reliability.md."""
