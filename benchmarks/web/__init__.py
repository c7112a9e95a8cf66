"""What `make bench-web` measures: the page in a real browser, over the real server."""
