"""A small HTTP server, for plugins that show something: bounded in threads, time and requests."""
