"""Environments of their own, for packages that pin the world: a lock here, a venv in the cache.

    evalkit/envs/<name>.txt                       what it holds, every package pinned
    ~/.cache/evalkit/envs/<name>-<digest>/        the virtual environment
    ~/.cache/evalkit/envs/<name>-<digest>.log     what pip said while making it

A lock that changes is another environment; one that was only half made is made anew.
"""

from evalkit.envs.locks import Recipe, recipe, recipes
from evalkit.envs.making import make, python_of

__all__ = ["Recipe", "make", "python_of", "recipe", "recipes"]
