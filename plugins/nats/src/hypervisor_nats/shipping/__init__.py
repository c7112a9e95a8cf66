"""Shipping: a journal, on its way into the stream of a fleet."""
