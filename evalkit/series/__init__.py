"""More than two checkpoints: trends, bisection, the best one, training seeds, the registry."""
