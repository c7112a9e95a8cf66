"""``hvobs mcp``: what was recorded, for coding agents, by the Model Context Protocol."""
