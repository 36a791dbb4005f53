"""Ways of asking a checkpoint; each module declares `BACKENDS`."""
