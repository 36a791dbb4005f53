"""Which checkpoint is the one to beat: a history that is only ever added to.

    <results>/baselines.jsonl    one line a promotion: name, identity, when, why

The last line counts.  A config with `baseline: registered` means it, weights included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from evalkit.configuration.config import Loaded
from evalkit.errors import ConfigError, StoreError, UnknownName, did_you_mean
from evalkit.matrix import Matrix
from evalkit.series.seeds import with_seeds
from evalkit.storage import journal
from evalkit.storage.journal import Journal
from evalkit.storage.lock import hold
from evalkit.storage.store import Store
from evalkit.terminal.columns import columns

REGISTERED = "registered"
"""What a config says for the baseline of the registry."""

UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class Promotion:
    """One checkpoint made the one to beat."""

    name: str
    identity: str  # of its weights; "" where that could not be told
    when: str  # UTC, ISO 8601
    why: str


def promote(store: Store, name: str, why: str, when: datetime | None = None) -> Promotion:
    """Makes a checkpoint of the results the one to beat; raises UnknownName where it has no cells.

    Of a name that several weights went by, those used last are meant.
    """
    cells: dict[str, str] = {}
    for cell in sorted(store.cells(), key=lambda c: (c.path / "cell.json").stat().st_mtime_ns):
        meta = cell.meta()
        identity = str(meta["checkpoint"].get("identity", ""))
        for known in meta.get("names", [meta["checkpoint"]["name"]]):
            cells[known] = "" if identity.startswith(UNSTATED) else identity
    if name not in cells:
        raise UnknownName(f"checkpoint of {store.root}", name, cells)
    moment = (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = Promotion(name, cells[name], moment, " ".join(why.split()))
    with hold(store.root / "baselines.lock"), Journal(_file(store.root)) as file:
        file.append(asdict(made))
    return made


def history(results: Path) -> list[Promotion]:
    """Every promotion, the oldest first; raises StoreError naming a line that is none."""
    found = []
    for number, line in enumerate(journal.read(_file(results)), 1):
        try:
            found.append(Promotion(**line))
        except TypeError:
            raise StoreError(
                f"{_file(results)}:{number}: not a promotion; correct or remove the line"
            ) from None
    return found


def named(loaded: Loaded, results: Path) -> tuple[Loaded, str]:
    """The config with `baseline: registered` replaced by the name, and the identity expected.

    A config that has a checkpoint of that very name means its own.
    """
    config = with_seeds(loaded)[0].config
    names = [each.name for each in config.checkpoints] + [each.name for each in config.pipeline]
    if config.baseline != REGISTERED or REGISTERED in names:
        return loaded, ""
    known = history(results)
    if not known:
        raise loaded.error(
            ("baseline",),
            f"no baseline is registered in {results}: `evalkit baseline promote NAME` first",
        )
    current = known[-1]
    if current.name not in names:
        hint = did_you_mean(current.name, names)
        raise loaded.error(("baseline",), f"{current.name!r} is registered, not here{hint}")
    return loaded.replaced(baseline=current.name), current.identity


def check(matrix: Matrix) -> None:
    """Raises ConfigError where the baseline has other weights than those that were promoted."""
    found = matrix.row(matrix.baseline).checkpoint.identity
    if matrix.registered and found != matrix.registered:
        raise ConfigError(
            f"{matrix.baseline} is not what was promoted: its weights are {found[:8]}, the "
            f"registered ones {matrix.registered[:8]}; promote it again, or name a baseline"
        )


def text(promotions: Iterable[Promotion]) -> str:
    """The history for people, the one that counts first."""
    rows = [
        [each.name, each.identity[:8] or "unknown", each.when, each.why]
        for each in reversed(list(promotions))
    ]
    return columns(["baseline", "weights", "since", "why"], rows) + "\n"


def _file(results: Path) -> Path:
    return results / "baselines.jsonl"
