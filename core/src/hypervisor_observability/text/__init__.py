"""Text for people: on a terminal, in a log, of an error."""
