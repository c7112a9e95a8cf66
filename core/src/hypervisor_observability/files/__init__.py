"""Files that are replaced whole, and files that are what they seem."""
