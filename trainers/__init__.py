"""Ways of making checkpoints; each module declares `TRAINERS`."""
