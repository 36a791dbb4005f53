"""One entry of `checkpoints:`: its backend, model, prompt and documents found, and checked."""

from __future__ import annotations

from evalkit import retrieval
from evalkit.configuration.config import Loaded, Location
from evalkit.configuration.naming import named, options_of
from evalkit.configuration.sections import BackendSection, CheckpointSection, RetrievalSection
from evalkit.errors import EvalkitError
from evalkit.matrix import Row
from evalkit.types import Backend, Checkpoint, Retrieval


def backend_of(
    loaded: Loaded, where: Location, section: BackendSection
) -> tuple[Backend, dict[str, object]]:
    """The backend that a section names, and its options; paths start from the file."""
    backend = named(loaded, (*where, "name"), "backends", section.name)
    assert isinstance(backend, Backend)
    options = options_of(loaded, where, backend, section.options)
    if isinstance(options.get("path"), str) and options["path"]:
        options["path"] = str(loaded.resolve(str(options["path"])))
    return backend, options


def declared_row(loaded: Loaded, index: int, section: CheckpointSection) -> Row:
    """One entry of `checkpoints:`, with the backend that it or the file names."""
    where: Location = ("checkpoints", index, "backend") if section.backend else ("backend",)
    backend, options = backend_of(loaded, where, section.backend or loaded.config.backend)
    return Row(
        Checkpoint(
            section.name,
            _model(loaded, section.model),
            backend.name,
            options,
            section.format,
            _text(loaded, ("checkpoints", index, "system_prompt"), section.system_prompt),
            section.identity,
            section.parent,
            retrieval=_retrieval(loaded, index, section.retrieval),
        ),
        backend,
    )


def _model(loaded: Loaded, model: str) -> str:
    """A folder beside the file is that folder; anything else is a hub id, or the server's name."""
    if model.startswith((".", "~", "/")) or (model and loaded.resolve(model).is_dir()):
        return str(loaded.resolve(model))
    return model


def _text(loaded: Loaded, where: Location, given: str) -> str:
    """A text as it stands, or that of the file it names."""
    if not given.endswith((".txt", ".md")) or "\n" in given:
        return given
    path = loaded.resolve(given)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise loaded.error(where, f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise loaded.error(where, f"{path} is not UTF-8: save it as that") from None


def _retrieval(loaded: Loaded, index: int, section: RetrievalSection | None) -> Retrieval | None:
    if section is None:
        return None
    where: Location = ("checkpoints", index, "retrieval")
    template = _text(loaded, (*where, "template"), section.template) or retrieval.TEMPLATE
    if template.count(retrieval.PLACE) != 1:
        words = f"say once where the passages go: {retrieval.PLACE}"
        raise loaded.error((*where, "template"), words)
    folder = loaded.resolve(section.documents)
    try:
        return retrieval.described(folder, section.k, section.words, template)
    except EvalkitError as error:
        raise loaded.error(where, str(error)) from None
