"""What events say, and what lasts from one to another: payloads are read here, for all readers."""
