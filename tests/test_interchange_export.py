"""Cells go out in the formats of others and come back with the same scores."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.errors import DataError, StoreError
from evalkit.interchange import write_every_eval_ever, write_lm_eval, write_model_card
from evalkit.interchange.exported import exported
from evalkit.interchange.reading import READERS
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Rows, Sample
from tests.interchange_logs import LOGS, compared, imports, kept, skips
from tests.small_exams import doubles, right, right_below, sit

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
WRITERS = {"lm-eval": write_lm_eval.write, "every-eval-ever": write_every_eval_ever.write}
jsonschema: Any = importlib.import_module("jsonschema")
SCHEMAS = "every_eval_ever==0.3.0"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for name in ("base", "tuned"):
        kept(folder, name, LOGS / "lm-eval" / name, LOGS / "inspect" / name)
    return folder


def written(results: Path, form: str, name: str, out: Path) -> list[Path]:
    return WRITERS[form](exported(Store(results), name), out, NOW)


def scores(results: Path) -> dict[str, Any]:
    return {
        task: (cell.baseline_score, cell.candidate_score, cell.delta, cell.n)
        for task, cell in compared(results)[1].items()
    }


@pytest.mark.parametrize("form", WRITERS)
def test_what_went_out_comes_back_with_the_same_scores(
    results: Path, tmp_path: Path, form: str
) -> None:
    for name in ("base", "tuned"):
        written(results, form, name, tmp_path / name)
        kept(tmp_path / "back", name, tmp_path / name)
    back, there = scores(tmp_path / "back"), scores(results)
    assert back.keys() == there.keys()
    assert all(back[task] == pytest.approx(there[task]) for task in there)


@pytest.mark.parametrize("form", WRITERS)
def test_a_cell_of_ones_own_goes_out_and_comes_back(tmp_path: Path, form: str) -> None:
    sit(tmp_path / "own", doubles(30, epochs=2), right_below(12))
    written(tmp_path / "own", form, "base", tmp_path / "out")
    found = imports(tmp_path / "out")["doubles"]
    (cell,) = exported(Store(tmp_path / "own"), "base")
    assert cell.score()[0] == pytest.approx(12 / 30)
    assert found.aggregate
    assert found.aggregate.score == pytest.approx(12 / 30)
    assert len({row.content for row in found.rows}) == 30


@pytest.mark.parametrize("form", WRITERS)
def test_a_missing_sample_is_still_missing_when_it_comes_back(tmp_path: Path, form: str) -> None:
    def mostly(request: Request) -> Response:
        return Response(error="down") if request.sample.id == "3" else right(request)

    sit(tmp_path / "own", doubles(20), mostly)
    written(tmp_path / "own", form, "base", tmp_path / "out")
    rows = imports(tmp_path / "out")["doubles"].rows
    assert [row.value != row.value for row in rows].count(True) == 1


@pytest.mark.parametrize("form", WRITERS)
def test_another_scale_is_kept(tmp_path: Path, form: str) -> None:
    sit(tmp_path / "own", doubles(20, bounds=(-1.0, 1.0), higher_is_better=False))
    written(tmp_path / "own", form, "base", tmp_path / "out")
    metric = imports(tmp_path / "out")["doubles"].metric
    assert (metric.bounds, metric.higher_is_better) == ((-1.0, 1.0), False)


def test_lm_evals_files_are_named_and_filled_as_its_own(results: Path, tmp_path: Path) -> None:
    paths = written(results, "lm-eval", "base", tmp_path)
    own = LOGS / "lm-eval" / "base"
    mine = json.loads(paths[0].read_text())
    theirs = json.loads(next(own.glob("results_*.json")).read_text())
    assert paths[0].relative_to(tmp_path).as_posix() == "base/results_2026-02-03T04-05-06.json"
    assert mine["results"]["tiny_choice"] == pytest.approx(
        {k: v for k, v in theirs["results"]["tiny_choice"].items() if "norm" not in k}
    )
    for task in ("tiny_choice", "tiny_words"):
        line = next(own.glob(f"samples_{task}_*.jsonl")).read_text().splitlines()[0]
        path = next(path for path in paths if task in path.name)
        assert json.loads(line).keys() - json.loads(path.read_text().splitlines()[0]) <= {
            "acc_norm"
        }


def test_every_eval_ever_lies_as_its_store_does(results: Path, tmp_path: Path) -> None:
    paths = written(results, "every-eval-ever", "base", tmp_path)
    (document,) = (
        json.loads(p.read_text())
        for p in paths
        if p.parts[-4] == "tiny_count" and p.suffix == ".json"
    )
    details = document["detailed_evaluation_results"]
    assert (tmp_path / details["file_path"]).is_file()
    assert details["total_rows"] == 20


def test_a_metric_of_no_known_scale_is_left_out_and_the_rest_comes_in(
    results: Path, tmp_path: Path
) -> None:
    for path in written(results, "every-eval-ever", "base", tmp_path):
        if path.suffix == ".json" and path.parts[-4] == "tiny_count":
            document = json.loads(path.read_text())
            (result,) = document["evaluation_results"]
            result["metric_config"] = {"lower_is_better": True}
            result["score_details"]["score"] = 23.5  # a perplexity, say
            del document["detailed_evaluation_results"]
            path.write_text(json.dumps(document))
    (reason,) = skips(tmp_path).values()
    assert "runs from 23.5 to 23.5, and its scale is not known" in reason
    assert "tiny_choice" in imports(tmp_path)


def test_samples_that_were_changed_are_refused(results: Path, tmp_path: Path) -> None:
    for path in written(results, "every-eval-ever", "base", tmp_path):
        if path.suffix == ".jsonl":
            path.write_text(path.read_text().replace('"score":0.0', '"score":1.0'))
    with pytest.raises(DataError, match="sha256"):
        imports(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": "0.1.0"}, "schema_version is '0.1.0'"),
        ({"model_info": None}, "`model_info` is NoneType"),
        ({"evaluation_results": [{}]}, "`evaluation_name` is missing"),
        ({"evaluation_results": [{"evaluation_name": "x"}]}, "`metric_config` is missing"),
    ],
)
def test_what_an_aggregate_lacks_is_told(
    results: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = written(results, "every-eval-ever", "base", tmp_path)[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message) as told:
        imports(path)
    assert path.name in str(told.value)


def test_eval_results_name_the_data_set_and_are_read_by_the_hubs_own_library(
    results: Path, tmp_path: Path
) -> None:
    from huggingface_hub import parse_eval_result_entries

    cells = exported(Store(results), "base")
    assert write_model_card.write(cells, tmp_path, NOW) == []  # data sets that are not on the hub
    cells[0].meta["dataset"].update(id="someone/set", config="main")
    (path,) = write_model_card.write(cells, tmp_path, NOW)
    content = yaml.safe_load(path.read_text())
    (entry,) = parse_eval_result_entries(content)
    assert path.parent == tmp_path / ".eval_results"
    assert (entry.dataset_id, entry.task_id) == ("someone/set", "main")
    assert entry.value == pytest.approx(cells[0].score()[0])
    assert (entry.date, entry.source_url) == ("2026-02-03", None)
    assert entry.notes is not None
    assert ", by lm-eval" in entry.notes or ", by inspect" in entry.notes
    known = {"dataset", "value", "verifyToken", "date", "source", "notes"}
    assert set(content[0]) <= known
    assert set(content[0]["dataset"]) <= {"id", "task_id", "revision"}


def test_mmlu_pro_goes_by_the_name_that_the_hub_has_for_it(tmp_path: Path) -> None:
    results = tmp_path / "results"
    sit(results, doubles(20, name="mmlu-pro"), right_below(12))
    (path,) = write_model_card.write(exported(Store(results), "base"), tmp_path, NOW)
    (entry,) = yaml.safe_load(path.read_text())
    assert entry["dataset"]["id"] == "TIGER-Lab/MMLU-Pro"
    assert entry["dataset"]["task_id"] == "mmlu_pro"
    assert entry["value"] == 0.6


CARD = "---\nlicense: apache-2.0\n---\n# A model\n\nWhat it is.\n"


def export(results: Path, out: Path, *more: str) -> Result:
    args = ["export", "tuned", "--results", str(results), "--format", "model-card", "--out"]
    return CliRunner().invoke(cli, [*args, str(out), *more])


def test_a_cards_section_is_put_into_its_place_and_all_else_stays(
    results: Path, tmp_path: Path
) -> None:
    card = tmp_path / "README.md"
    card.write_text(CARD)
    assert export(results, tmp_path).exit_code == 0
    assert card.read_text().startswith(f"{CARD}\n<!-- evalkit:results -->\n## Evaluation\n")
    assert "| `tiny_words` |" in card.read_text()
    card.write_text(card.read_text() + "\n## Licence\n")
    assert export(results, tmp_path, "--against", "base").exit_code == 0
    first = card.read_text()
    assert first.startswith(CARD)
    assert first.endswith("<!-- /evalkit:results -->\n\n## Licence\n")
    assert first.count("## Evaluation") == 1
    assert "### `tuned` against `base`" in first
    assert export(results, tmp_path, "--against", "base").exit_code == 0
    assert card.read_text() == first


def test_a_card_is_made_where_there_is_none(results: Path, tmp_path: Path) -> None:
    found = export(results, tmp_path / "new", "--against", "base")
    assert found.output.splitlines()[-1] == str(tmp_path / "new" / "README.md")
    assert (tmp_path / "new" / "README.md").read_text().startswith("<!-- evalkit:results -->")


def test_other_formats_take_no_comparison(results: Path, tmp_path: Path) -> None:
    args = ["export", "tuned", "--results", str(results), "--format", "lm-eval"]
    found = CliRunner().invoke(cli, [*args, "--out", str(tmp_path), "--against", "base"])
    assert "--against is of --format model-card" in str(found.exception)


def test_an_unknown_checkpoint_is_told_with_those_there_are(results: Path) -> None:
    with pytest.raises(StoreError, match="there are: base, tuned"):
        exported(Store(results), "other")


def test_every_writer_with_samples_has_a_reader() -> None:
    assert WRITERS.keys() <= READERS.keys()


@pytest.mark.integration
def test_every_eval_evers_own_schema_takes_what_is_written(results: Path, tmp_path: Path) -> None:
    """Against the schemas in the published wheel, which is only unpacked."""
    fetch = ["download", "--quiet", "--no-deps", "--ignore-requires-python", SCHEMAS]
    subprocess.run([sys.executable, "-m", "pip", *fetch, "-d", tmp_path], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        whole, one = (
            json.loads(wheel.read(f"every_eval_ever/schemas/{name}.schema.json"))
            for name in ("eval", "instance_level_eval")
        )
    for path in written(results, "every-eval-ever", "tuned", tmp_path):
        if path.suffix == ".json":
            jsonschema.validate(json.loads(path.read_text()), whole)
        else:
            for line in path.read_text().splitlines():
                jsonschema.validate(json.loads(line), one)


def test_a_task_with_weights_goes_out_by_its_weighted_score(tmp_path: Path) -> None:
    def samples(_: Rows) -> Iterable[Sample]:
        for i in range(40):
            yield Sample(str(i), f"twice {i}?", str(2 * i), stratum="few" if i < 10 else "many")

    task = replace(doubles(40), samples=samples, weights={"few": 1.0, "many": 1.0})
    sit(tmp_path / "r", task, right_below(25))  # all of the few, half of the many
    (cell,) = exported(Store(tmp_path / "r"), "base")
    assert cell.mean()[0] == pytest.approx(25 / 40)
    score, error, n = cell.score()
    assert n == 40
    assert score == pytest.approx(0.75)
    assert error == pytest.approx(0.5 * math.sqrt(0.25 / 29))
    written(tmp_path / "r", "lm-eval", "base", tmp_path / "out")
    (path,) = (tmp_path / "out").rglob("results_*.json")
    numbers = json.loads(path.read_text())["results"]["doubles"]
    assert numbers["acc,none"] == pytest.approx(0.625)
    assert numbers["weighted,none"] == pytest.approx(0.75)
    assert len(imports(tmp_path / "out")["doubles"].rows) == 40
