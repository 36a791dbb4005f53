"""Every sample of a results folder, served to a browser on this machine."""
