"""Values of any type as plain ones, and bounds that nobody asked for: they know of no event."""
