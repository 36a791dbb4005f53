"""A stage with `seeds:` is one stage a seed, and a recipe that averages over them.

`{name: sft, seeds: [0, 1, 2]}` becomes the stages sft-s0, sft-s1 and sft-s2.  A later stage that
starts from `sft` has the same seeds, each starting from its own.
"""

from __future__ import annotations

from evalkit.configuration.config import Loaded, Location
from evalkit.configuration.sections import StageSection

Recipes = dict[str, tuple[str, ...]]


def with_seeds(loaded: Loaded) -> tuple[Loaded, Recipes]:
    """The config with every seed's stage written out, and the recipes they belong to.

    Raises ConfigError where the seeds of a stage and its parent do not fit.
    """
    stages: list[tuple[int, StageSection]] = []
    seeds: dict[str, list[int]] = {}
    for index, stage in enumerate(loaded.config.pipeline):
        _check(loaded, ("pipeline", index), stage, seeds)
        if not stage.seeds:
            stages.append((index, stage))
            continue
        seeds[stage.name] = stage.seeds
        for seed in stage.seeds:
            parent = member(stage.parent, seed) if stage.parent in seeds else stage.parent
            changes = {"name": member(stage.name, seed), "parent": parent, "seed": seed}
            stages.append((index, stage.model_copy(update={**changes, "seeds": []})))
    taken = [each.name for each in loaded.config.checkpoints] + [each.name for _, each in stages]
    for index, stage in enumerate(loaded.config.pipeline):
        if stage.seeds and stage.name in taken:
            raise loaded.error(
                ("pipeline", index, "name"), f"{stage.name!r} is a checkpoint too; rename one"
            )
    recipes = {name: tuple(member(name, each) for each in own) for name, own in seeds.items()}
    return loaded.staged(stages), recipes


def member(name: str, seed: int) -> str:
    """What the stage of one seed is called."""
    return f"{name}-s{seed}"


def _check(loaded: Loaded, at: Location, stage: StageSection, seeds: dict[str, list[int]]) -> None:
    own, inherited = stage.seeds, seeds.get(stage.parent)
    if own and (len(own) < 2 or len(set(own)) < len(own)):
        raise loaded.error((*at, "seeds"), "give two different seeds or more, or `seed:` for one")
    if own and stage.seed is not None:
        raise loaded.error((*at, "seed"), "`seeds:` says it already; remove one of the two")
    if inherited and own != inherited:
        one = member(stage.parent, inherited[0])
        raise loaded.error(
            (*at, "parent"),
            f"{stage.parent} has seeds: give `seeds: {inherited}` here too, or start from {one}",
        )
