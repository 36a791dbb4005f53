"""A checkpoint as a URL."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import config_argument, matrix_of, results_option, say


@click.command()
@config_argument
@click.argument("checkpoint")
@results_option
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="Port on this machine; 0 is any free one.")  # fmt: skip
def serve(config: Path, checkpoint: str, results: Path | None, port: int) -> None:
    """Serve a CHECKPOINT of CONFIG as an OpenAI-compatible URL on this machine.

    For other tools, and benchmarks that run in an environment of their own: by the checkpoint's
    own backend, vLLM itself where that is `vllm_server`.  A stage must have been trained.  Prints
    the URL, and goes on until it is stopped (Ctrl-C).  Requests call the model by the checkpoint's
    name; its system prompt is left to them.
    """
    from evalkit.errors import UnknownName
    from evalkit.serving.serve import serve as go
    from evalkit.terminal.progress import progress
    from evalkit.training.pipeline import trained

    matrix, folder = matrix_of(config, results, None)
    names = [row.checkpoint.name for row in matrix.rows]
    if checkpoint not in names:
        raise UnknownName("checkpoint", checkpoint, names)
    with progress() as notify:
        row = trained(matrix, folder, notify, (checkpoint,), make=False).row(checkpoint)
        try:
            go(row, folder, port, notify, lambda url: say(f"{url}\n"))
        except KeyboardInterrupt:
            click.echo("evalkit: stopped", err=True)
