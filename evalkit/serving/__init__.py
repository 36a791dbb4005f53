"""Serving: a checkpoint behind an OpenAI-compatible URL on this machine."""
