"""``hvobs new-plugin``: an installable package for a plugin, from templates."""
