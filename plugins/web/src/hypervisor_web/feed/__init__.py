"""The newest events, and what viewers are shown of them."""
