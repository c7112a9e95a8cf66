"""What each question is answered with: plain functions over a history, without the protocol."""
