"""Players ranked by judged battles: read, controlled for style, fitted, told."""
