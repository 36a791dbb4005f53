"""Following a run: checkpoints found when they are whole, kept from rotation, and evaluated."""
