"""Before anything is spent: what a run could show, what it would take, how much is noise."""
