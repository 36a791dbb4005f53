"""Renderers of a verdict; each module declares `RENDERERS`."""
