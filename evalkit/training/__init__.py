"""Training: the stages of a pipeline, made where they are missing, and what they leave."""
