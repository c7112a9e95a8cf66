"""The past of a fleet: events that are in the stream, by time, for whoever asks."""
