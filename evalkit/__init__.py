"""evalkit says what a post-training run improved and what it broke, with statistics that hold."""

from evalkit.errors import EvalkitError
from evalkit.types import (
    Backend,
    Checkpoint,
    LabelledPair,
    LogLikelihood,
    Message,
    Model,
    Prompt,
    Request,
    Response,
    Rows,
    Rubric,
    Sample,
    Sampling,
    Saved,
    Score,
    Source,
    Stage,
    Task,
    ToolCall,
    Trainer,
)

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "Checkpoint",
    "EvalkitError",
    "LabelledPair",
    "LogLikelihood",
    "Message",
    "Model",
    "Prompt",
    "Request",
    "Response",
    "Rows",
    "Rubric",
    "Sample",
    "Sampling",
    "Saved",
    "Score",
    "Source",
    "Stage",
    "Task",
    "ToolCall",
    "Trainer",
    "__version__",
]
