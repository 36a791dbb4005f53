"""evalkit says what a post-training run improved and what it broke, with statistics that hold."""

from evalkit.errors import EvalkitError
from evalkit.frames import Results, load
from evalkit.types import (
    Asker,
    Backend,
    Checkpoint,
    Family,
    Graded,
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
    Score,
    Source,
    Stage,
    Task,
    ToolCall,
    Trainer,
)

__version__ = "0.1.0"

__all__ = [
    "Asker",
    "Backend",
    "Checkpoint",
    "EvalkitError",
    "Family",
    "Graded",
    "LabelledPair",
    "LogLikelihood",
    "Message",
    "Model",
    "Prompt",
    "Request",
    "Response",
    "Results",
    "Rows",
    "Rubric",
    "Sample",
    "Sampling",
    "Score",
    "Source",
    "Stage",
    "Task",
    "ToolCall",
    "Trainer",
    "__version__",
    "load",
]
