"""What becomes of their calls: a function for each, which is told of the call and writes events."""
