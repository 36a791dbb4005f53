"""Storage: the results folder, its journals and tables, which survive a kill at any instant."""
