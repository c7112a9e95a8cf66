"""One trace as the page draws it: its pieces of work as columns, in the order of its tree."""
