"""Results of other harnesses as cells of the store, and cells as files that others read."""
