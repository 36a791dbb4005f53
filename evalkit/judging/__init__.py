"""Judging: other models' opinions of stored answers, kept by content, and how far to trust them."""
