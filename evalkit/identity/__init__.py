"""Identity: what makes two checkpoints, items, requests or exams the same."""
