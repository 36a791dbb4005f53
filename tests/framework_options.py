"""The options of each framework at a pinned release, as facts beside the tests.

    python -m tests.framework_options FOLDER [NEMO_RL_CHECKOUT]

Fetches OpenRLHF and verl from the package index, without what they depend on, into FOLDER; reads
their parsers and YAML, and those of a checkout of NeMo RL, and writes
`tests/fixtures/frameworks/*.json`: names of options and keys, nothing else of theirs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from trainers import _options, nemo_rl_job, openrlhf_job, verl_job

FACTS = Path(__file__).parent / "fixtures" / "frameworks"
OPENRLHF, VERL = "openrlhf==0.11.2", "verl==0.9.1"
NEMO_RL = "NVIDIA-NeMo/RL@7ea279abfbeb698b092856d0dab61e7cf39bc909"
CLASSES = {  # of NeMo RL: what a section may hold besides what its examples do
    "checkpointing": ("nemo_rl/utils/checkpoint.py", "CheckpointingConfig"),
    "policy.tokenizer": ("nemo_rl/models/policy/__init__.py", "TokenizerConfig"),
    "data.train": ("nemo_rl/data/__init__.py", "ResponseDatasetConfig"),
    "data.default": ("nemo_rl/data/__init__.py", "ResponseDatasetConfig"),
}


def fetched(package: str, folder: Path) -> Path:
    """The files of a package at a version, without its dependencies."""
    place, name = folder / package, package.partition("==")[0]
    if not place.exists():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
        to = ["--no-deps", "--only-binary=:all:", "--dest", str(folder)]
        subprocess.run([*pip, *to, package], check=True)
        (wheel,) = folder.glob(f"{name}-*.whl")
        with ZipFile(wheel) as archive:
            archive.extractall(place)
    return next(path.parent for path in place.rglob(f"{name}/__init__.py"))


def openrlhf(package: Path) -> dict[str, list[str]]:
    """Parser -> its options."""
    parsers = sorted({f"{name}.py" for name in openrlhf_job.MODULES.values()})
    return {name: sorted(_options.of_parser(package / "cli" / name)) for name in parsers}


def verl(package: Path) -> dict[str, list[str]]:
    """Configuration -> its keys."""
    names = [verl_job.CONFIGS["sft"], verl_job.RL_CONFIG]
    return {name: sorted(_options.of_yaml(package / "trainer" / "config" / name)) for name in names}


def nemo_rl(checkout: Path) -> dict[str, list[str]]:
    """Example -> its keys, with those that its sections' classes name."""
    configs = sorted({example for _, example in nemo_rl_job.EXAMPLES.values()})
    named = {
        f"{section}.{field}"
        for section, (file, name) in CLASSES.items()
        for field in _options.of_class(checkout / file, name)
    }
    folder = checkout / "examples" / "configs"
    return {name: sorted(_options.of_yaml(folder / name) | named) for name in configs}


def facts(name: str) -> dict[str, list[str]]:
    """The facts of a framework that are kept beside the tests."""
    return dict(json.loads((FACTS / f"{name}.json").read_text())["options"])


def write(name: str, source: str, options: dict[str, list[str]]) -> None:
    """Keeps a framework's facts, a line for each file that they were read from."""
    lines = ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in options.items())
    text = f'{{\n "source": "{source}",\n "options": {{\n{lines}\n }}\n}}\n'
    (FACTS / f"{name}.json").write_text(text)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write("openrlhf", OPENRLHF, openrlhf(fetched(OPENRLHF, folder)))
    write("verl", VERL, verl(fetched(VERL, folder)))
    if sys.argv[2:]:
        write("nemo-rl", NEMO_RL, nemo_rl(Path(sys.argv[2])))


if __name__ == "__main__":
    main()
