"""What the terminal shows: progress, plain tables, and renderables as text."""
