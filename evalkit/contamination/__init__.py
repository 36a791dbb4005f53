"""Whether training data hold what is asked: n-grams and whole texts that both have."""
