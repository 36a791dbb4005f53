"""The commands of `evalkit`, one a module; each imports what it needs when it runs."""
