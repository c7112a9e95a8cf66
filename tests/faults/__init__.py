"""Long runs that break something on purpose; see docs/explanation/reliability.md."""
