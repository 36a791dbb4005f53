"""Tasks of lm-eval as tasks of ours: found by name, refused by name, asked once, graded again."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit import plugins
from evalkit.comparison.policy import Policy
from evalkit.configuration.sections import SamplingSection, TaskSection
from evalkit.errors import ConfigError, DataError, UnknownName
from evalkit.exams.exam import Exam, sit
from evalkit.identity import identity
from evalkit.reporting.report import of_run, of_store
from evalkit.run import Held
from evalkit.seat import Seat
from evalkit.storage.store import Store
from evalkit.storage.tables import read_table
from evalkit.types import Checkpoint, Response, Sample, Sampling, Score, Task
from tests import lm_eval_peer as peer
from tests.lm_eval_tasks import row, task_files
from tests.small_exams import held
from tests.small_exams import sit as sit_task

config_of = import_module("evalkit.tasks._lm_eval_config")
files = import_module("evalkit.tasks._lm_eval_files")
identity_of = import_module("evalkit.tasks._lm_eval_identity")
own_folder = import_module("evalkit.tasks._lm_eval_index").own_folder
DATA = os.environ.get("EVALKIT_DATA", "")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv("EVALKIT_DATA", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return task_files(tmp_path / "tasks", rows=6)


def changed(folder: Path, name: str, **said: Any) -> None:
    """Changes what a task file says."""
    path = folder / f"{name}.yaml"
    path.write_text(path.read_text() + "\n" + yaml.safe_dump(said))


def one(folder: Path, name: str, preset: str = "") -> Exam:
    (exam,) = sit(TaskSection(name=f"lm-eval:{name}", preset=preset), folder, None)
    return exam


def run(folder: Path, results: Path, *names: str) -> tuple[Held, list[str]]:
    """A run of the model without weights, and the prompts that it was asked."""
    asked: list[str] = []
    one = peer.row()

    class Noting(peer.Ours):
        async def generate(self, request: Any) -> Response:
            asked.append(peer.plain(request.prompt))
            return await super().generate(request)

    noting = replace(one, backend=replace(one.backend, open=lambda _: Noting("completion")))
    return held([noting], peer.exams(folder, names), results), asked


def test_a_group_stands_for_its_tasks_with_what_it_says_of_them(folder: Path) -> None:
    found = plugins.tasks("lm-eval:everything", data=folder)
    names = [f"{task.name}@{task.preset}" if task.preset else task.name for task in found]
    assert names == [
        "lm-eval:gen_plain@strict",
        "lm-eval:gen_plain@flexible",
        "lm-eval:choice_plain",
        "lm-eval:last_letter",
        "lm-eval:last_word",
    ]
    assert {task.domain for task in found} == {"everything"}
    assert found[2].fewshot == 1
    assert one(folder, "choice_plain").task.fewshot == 0


def test_a_groups_changes_make_another_exam(folder: Path) -> None:
    grouped = plugins.tasks("lm-eval:everything", data=folder)[2]
    assert identity.exam(grouped) != identity.exam(one(folder, "choice_plain").task)


def test_tasks_of_lm_eval_are_found_by_name_without_importing_it() -> None:
    code = """
import sys
from evalkit import plugins
print([len(plugins.tasks(f"lm-eval:{name}")) for name in ("hellaswag", "gsm8k", "mmlu", "ai2_arc")])
print(sorted({"lm_eval", "datasets", "torch"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[1, 2, 57, 2]", "[]"]


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'hellaswag'"):
        plugins.tasks("lm-eval:helaswag")


def test_another_number_of_worked_examples_is_part_of_the_name() -> None:
    plain, ten = (plugins.task(f"lm-eval:hellaswag{end}") for end in ("", ":10-shot"))
    assert (plain.fewshot, ten.fewshot) == (0, 10)
    assert ten.name == "lm-eval:hellaswag:10-shot"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"unsafe_code": True}, "sandbox only"),
        ({"class": "x"}, "no ConfigurableTask"),
        ({"doc_to_image": "image"}, "images"),
        ({"output_type": "ranking"}, "output_type 'ranking'"),
        ({"dataset_path": None}, "names no data"),
        ({"generation_kwargs": {"num_beams": 4}}, "num_beams: 4"),
        ({"generation_kwargs": {"temperature": 1.0, "top_k": 5}}, "top_k: 5"),
        ({"metric_list": [{"metric": "bypass"}]}, "no metric"),
        ({"include": "nowhere.yaml"}, "No such file"),
        ({"include": "gen_plain.yaml"}, "includes itself"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_one_line(
    folder: Path, said: dict[str, Any], reason: str
) -> None:
    changed(folder, "gen_plain", **said)
    with pytest.raises(ConfigError, match=reason) as caught:
        plugins.tasks("lm-eval:gen_plain", data=folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("humaneval", "ask `humaneval` instead"),
        ("humaneval_plus", "ask `humaneval` instead"),
        ("mbpp_instruct", "ask `mbpp` instead"),
        ("cruxeval_output", "no task here takes its place"),
        ("humaneval_single_line_infilling", "no task here takes its place"),
    ],
)
def test_a_task_that_runs_code_is_refused_by_the_name_of_ours(name: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=instead) as caught:
        plugins.tasks(f"lm-eval:{name}")
    assert "\n" not in str(caught.value)


def test_a_task_that_is_in_a_group_twice_counts_in_all_its_groups(folder: Path) -> None:
    (folder / "again.yaml").write_text("group: again\ntask: [evenly, choice_plain]\n")
    found = plugins.tasks("lm-eval:again", data=folder)
    assert len(found) == 4
    plain = next(task for task in found if task.name == "lm-eval:choice_plain")
    assert {(pool.group, pool.figure, pool.tasks) for pool in plain.pools} == {
        ("lm-eval:evenly", "acc,none", 2),
        ("lm-eval:evenly", "acc_norm,none", 2),
        ("lm-eval:evenly", "exact_match,none", 2),
    }


def test_the_number_of_a_group_takes_all_its_tasks(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "results"
    exams = sit(TaskSection(name="lm-eval:evenly"), folder, None)
    assert of_run(held([peer.row()], exams[:1], store)).groups == []
    whole = of_run(held([peer.row()], exams, store))
    assert {each.figure for each in whole.groups} > {"acc,none"}
    alone = held([peer.row()], [one(folder, "choice_plain")], store)
    assert of_run(alone).groups == []
    again = of_store(Store(store), ["base"], Policy()).groups
    assert {each.figure: each for each in again} == {each.figure: each for each in whole.groups}


def classed(folder: Path, name: str) -> Path:
    """A task by a class, on documents that are given."""
    (folder / "gen_class.yaml").write_text(f"task: gen_class\nclass: !function of_class.{name}\n")
    return folder


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Late", "tells its metrics only with its data at hand"),
        ("Instance", "no ConfigurableTask"),
        ("Nowhere", "Nowhere"),
    ],
)
def test_a_class_that_cannot_be_asked_is_refused_by_one_line(
    folder: Path, name: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        plugins.tasks("lm-eval:gen_class", data=classed(folder, name))
    assert "\n" not in str(caught.value)


def test_a_class_that_asks_twice_is_refused_before_anything_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    exam = one(classed(folder, "Two"), "gen_class")
    with pytest.raises(DataError, match="asks generate_until and loglikelihood about one"):
        len(exam.items)


def test_a_class_is_asked_by_its_own_sampling_but_for_what_the_run_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    asked: list[Sampling] = []
    plain = peer.row()

    class Noting(peer.Ours):
        async def generate(self, request: Any) -> Response:
            asked.append(request.sampling)
            return await super().generate(request)

    noting = replace(plain, backend=replace(plain.backend, open=lambda _: Noting("completion")))
    said = SamplingSection(max_tokens=5)
    (changed,) = sit(TaskSection(name="lm-eval:gen_class", sampling=said), folder, None)
    held([noting], [one(folder, "gen_class")], tmp_path / "one")
    held([noting], [changed], tmp_path / "other")
    assert set(asked[:6]) == {Sampling(0.0, 1.0, 9, ("B", "\n"))}
    assert set(asked[6:]) == {Sampling(0.0, 1.0, 5, ("B", "\n"))}
    assert len(asked) == 12


def test_documents_of_a_class_may_be_given(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "data" / "lm-eval" / "gen_class"
    home.mkdir(parents=True)
    rows = (json.dumps(row("test", number)) for number in range(3))
    (home / "validation.jsonl").write_text("".join(f"{line}\n" for line in rows))
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "data"))
    assert len(one(classed(folder, "Contains"), "gen_class").items) == 3


def test_a_file_may_forbid_worked_examples(folder: Path) -> None:
    changed(folder, "gen_plain", num_fewshot=0)
    with pytest.raises(ConfigError, match="forbids"):
        plugins.tasks("lm-eval:gen_plain:5-shot", data=folder)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Sampling(0.0, 1.0, 256, ("\n\n",))),
        ({"until": "X", "max_gen_toks": 5}, Sampling(0.0, 1.0, 5, ("X",))),
        ({"until": [], "max_new_tokens": 7}, Sampling(0.0, 1.0, 7, ())),
        ({"temperature": 0.7, "top_p": 0.9}, Sampling(0.7, 0.9, 256, ("\n\n",))),
        ({"temperature": 0.7, "do_sample": False, "top_k": 9}, Sampling(0.0, 1.0, 256, ("\n\n",))),
    ],
)
def test_sampling_is_as_lm_eval_reads_it(said: dict[str, Any], expected: Sampling) -> None:
    assert config_of.sampling("t", {"generation_kwargs": said}) == expected


def test_filters_and_metrics_share_the_answers(folder: Path, tmp_path: Path) -> None:
    first, asked = run(folder, tmp_path / "results", "gen_plain")
    assert len(first.seats) == 2
    assert len(asked) == 6
    assert len({seat.cell.path for seat in first.seats}) == 1
    again, asked_again = run(folder, tmp_path / "results", "gen_plain")
    assert asked_again == []
    assert all(seat.graded(None) for seat in again.seats)


def test_a_changed_metric_grades_again_and_a_changed_prompt_asks_again(
    folder: Path, tmp_path: Path
) -> None:
    before, _ = run(folder, tmp_path / "results", "gen_plain")
    metric = {"metric": "exact_match", "aggregation": "mean", "ignore_case": True}
    changed(folder, "gen_plain", metric_list=[metric])
    graded, asked = run(folder, tmp_path / "results", "gen_plain")
    assert asked == []
    scorers = [
        held.seats[1].cell.meta()["exams"]["flexible"]["scorer"] for held in (before, graded)
    ]
    assert scorers[1] == graded.seats[1].exam.task.scorer
    changed(folder, "gen_plain", description="Mind the letter. ")
    other, asked = run(folder, tmp_path / "results", "gen_plain")
    assert len(asked) == 6
    assert other.seats[0].cell.path != before.seats[0].cell.path


def test_changed_documents_are_asked_anew_and_no_others(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "results", "gen_plain")
    path = folder / "rows" / "test.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({**row("test", 2), "question": "Which one is new?"})
    path.write_text("\n".join(lines) + "\n")
    _, asked = run(folder, tmp_path / "results", "gen_plain")
    assert asked == ["Question: Which one is new?\nAnswer:"]


def test_another_version_is_another_exam(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity.exam(one(folder, "gen_plain", "strict").task)
    assert before["definition"].startswith("lm-eval ")
    assert "version 2.0" in before["definition"]
    changed(folder, "gen_plain", metadata={"version": 3.0})
    after = one(folder, "gen_plain", "strict").task
    assert identity.exam(after) != before
    monkeypatch.setattr(identity_of, "version", lambda _: "0.4.99")
    later = one(folder, "gen_plain", "strict").task
    assert identity.exam(later) != identity.exam(after)
    weights = Checkpoint("base", identity="weights")
    assert identity.key(later, weights) != identity.key(after, weights)


def test_code_of_a_task_file_is_part_of_what_it_is(folder: Path) -> None:
    before = one(folder, "rolling_own").task
    own = folder / "own.py"
    own.write_text(own.read_text().replace("+ 4", "+ 5"))
    after = one(folder, "rolling_own").task
    assert before.scorer != after.scorer
    assert before.costly


def test_a_task_is_the_same_wherever_its_folder_lies(folder: Path, tmp_path: Path) -> None:
    other = task_files(tmp_path / "elsewhere", rows=6)
    for name in ("gen_shots", "rolling_own"):
        here, there = (plugins.tasks(f"lm-eval:{name}", data=each)[0] for each in (folder, other))
        assert identity.exam(here) == identity.exam(there)
        assert here.content == there.content


def test_documents_may_be_given_as_a_file_or_a_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"question": f"{i} + {i}?", "answer": f"so\n#### {2 * i}"}) + "\n"
            for i in range(6)
        )
    )
    with pytest.raises(DataError, match="train"):
        len(one(rows, "gsm8k", "strict-match").items)
    zero = one(rows, "gsm8k:0-shot", "strict-match")
    assert {sample.rendered() for sample in zero.items.values()} == {
        f"Question: {i} + {i}?\nAnswer:" for i in range(6)
    }
    both = tmp_path / "data" / "lm-eval" / "gsm8k"
    both.mkdir(parents=True)
    (both / "test.jsonl").write_bytes(rows.read_bytes())
    (both / "train.jsonl").write_bytes(rows.read_bytes())
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "data"))
    (exam,) = sit(TaskSection(name="lm-eval:gsm8k", preset="strict-match"), None, None)
    assert all(sample.rendered().count("Answer:") == 6 for sample in exam.items.values())


def test_data_that_cannot_be_had_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="lm-eval:hellaswag: not made from Rowan/hellaswag") as told:
        list(plugins.task("lm-eval:hellaswag").samples(lambda _: iter(())))
    assert "\n" not in str(told.value)


def test_an_answer_in_which_nothing_is_found_is_unparsed(folder: Path) -> None:
    exam = one(folder, "gen_plain", "strict")
    sample = next(iter(exam.items.values()))
    assert exam.task.score is not None
    assert exam.task.score(sample, Response("12")).answer is None
    read = exam.task.score(sample, Response(f"{sample.target}. 12"))
    assert (read.value, read.answer) == (1.0, sample.target)


def test_thoughts_are_no_part_of_repeated_answers(folder: Path) -> None:
    exam = one(folder, "gen_repeats")
    sample = next(iter(exam.items.values()))
    assert exam.task.score is not None
    said = tuple(f"<think>zzz</think>{sample.target}" for _ in range(3))
    assert exam.task.score(sample, Response(said[0], turns=said)).value == 1.0


def test_a_repeated_prompt_is_drawn_anew_each_time(tmp_path: Path) -> None:
    seeds: list[int | None] = []

    async def solve(sample: Sample, model: Any) -> Response:
        said: list[Response] = [await model.generate("the same") for _ in range(3)]
        return said[-1]

    def answer(request: Any) -> Response:
        seeds.append(request.seed)
        return Response("x")

    def samples(_: Any) -> list[Sample]:
        return [Sample("0", "asked", "x")]

    task = Task("t", "d", 1, samples, lambda s, r: Score(1.0, "x"), solve=solve)
    sit_task(tmp_path, task, answer)
    assert len(seeds) == len(set(seeds)) == 3


def test_an_answer_that_the_file_begins_is_not_asked_of_a_chat(folder: Path) -> None:
    exam = one(folder, "gen_begun", "strict")
    sample = next(iter(exam.items.values()))
    assert exam.task.solve is not None

    class Chat:
        format = "chat"

    async def said() -> Response:
        return await exam.task.solve(sample, Chat())  # type: ignore[arg-type, misc]

    assert "format: completion" in asyncio.run(said()).error


def test_scores_of_another_scale_are_compared_on_it(folder: Path, tmp_path: Path) -> None:
    names = ["choice_plain", "last_word"]
    rows = [peer.row(name=name) for name in ("base", "tuned")]
    found = held(rows, peer.exams(folder, names), tmp_path / "results")
    report = of_run(found)
    told = {cell.task: cell for cell in report.candidates[0].cells}
    assert not [cell for cell in told.values() if cell.verdict == "invalid"]
    scores = {score.task: score.score for score in report.scores}
    for label, most in (("choice_plain@brier_score", 2.0), ("last_word@perplexity", 8.0)):
        seat = next(seat for seat in found.seats if seat.exam.label == f"lm-eval:{label}")
        values = (
            read_table(seat.cell.scores_path(seat.exam.task.preset)).column("value").to_pylist()
        )
        oriented = 1 - sum(values) / len(values) / most
        assert scores[f"lm-eval:{label}"] == pytest.approx(oriented)


def test_what_is_measured_is_neither_right_nor_wrong(folder: Path, tmp_path: Path) -> None:
    found = peer.ours(folder, ["choice_plain", "rolling_plain"], tmp_path / "results")
    ends = {seat.exam.label: _outcomes(seat) for seat in found.seats}
    assert ends["lm-eval:choice_plain@brier_score"] == {"measured"}
    assert ends["lm-eval:rolling_plain@bits_per_byte"] == {"measured"}
    assert ends["lm-eval:choice_plain@acc"] == {"correct", "wrong"}


def _outcomes(seat: Seat) -> set[str]:
    table = read_table(seat.cell.scores_path(seat.exam.task.preset), ["outcome"])
    return set(table.column("outcome").to_pylist())


def test_a_damaged_file_of_documents_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "test.jsonl").write_text('{"question": "?", "answer": "#### 1"}\n')
    (folder / "train.jsonl").write_text("no JSON\n")
    with pytest.raises(DataError, match=r"train.jsonl: line 1"):
        list(one(folder, "gsm8k", "strict-match").every())


@pytest.mark.integration
def test_every_name_of_lm_eval_is_found_where_its_own_index_has_it() -> None:
    from lm_eval.tasks import TaskManager

    root = own_folder()
    index = TaskManager().task_index
    for name, entry in index.items():
        if entry.kind.name == "TAG":
            assert files._tagged(name, root) == entry.tags, name
        else:
            declared = files._declared(name, root)
            assert declared is not None, name
            assert declared[0] == entry.yaml_path, name


@pytest.mark.integration
@pytest.mark.skipif(not DATA, reason="EVALKIT_DATA is not set")
def test_the_prompts_of_gsm8k_are_those_of_lm_eval(tmp_path: Path) -> None:
    import datasets
    from lm_eval.api.task import ConfigurableTask

    rows = Path(DATA, "gsm8k")
    exam = one(rows, "gsm8k", "strict-match")
    ours = {sample.id: sample.rendered() for sample in exam.items.values()}
    config = {
        **yaml.safe_load((own_folder() / "gsm8k" / "gsm8k.yaml").read_text()),
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {each: str(rows / f"{each}.jsonl.gz") for each in ("train", "test")}
        },
    }
    config.pop("tag")
    task = ConfigurableTask(config=config)
    task.set_fewshot_seed(seed=1234)
    task.build_all_requests()
    assert datasets.is_progress_bar_enabled()
    assert ours == {str(each.doc_id): each.args[0] for each in task.instances}
    assert len(ours) == 1319
