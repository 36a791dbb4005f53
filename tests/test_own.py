"""A user's own benchmark: rows in a file and a scorer by name, or one Python file."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.configuration.sections import TaskSection
from evalkit.errors import EvalkitError
from evalkit.exams.exam import Exam
from evalkit.identity.identity import exam as exam_of
from evalkit.types import Response, Sample, Score

HEAD = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 1.0}}
  - {name: sft, backend: {name: echo, skill: 0.0}}
tasks:
"""
TWICE = '''
"""Twice a number, told by its neighbour."""
from neighbour import double
from evalkit import Sample, Sampling, Score, Task

def samples(_):
    for number in range(20):
        yield Sample(str(number), f"Twice {number} is", target=double(number))

def score(sample, response):
    answer = next(iter(response.text.split()), None)
    return Score(float(answer == sample.target), answer)

def solution(sample):
    return sample.target

TASK = Task("twice", "mathematics", 1, samples, score, solution=solution, costly=True)
TASKS = (TASK,)
'''


def rows(folder: Path, found: Sequence[object], name: str = "mine.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in found))


def exams(folder: Path, entry: str) -> tuple[Exam, ...]:
    path = folder / "c.yaml"
    path.write_text(f"{HEAD}  - {entry}\n")
    return resolve(load(path)).exams


def own(folder: Path, found: Sequence[object], said: str) -> Exam:
    rows(folder, found)
    return exams(folder, f"{{name: mine, data: mine.jsonl, {said}}}")[0]


def refusal(folder: Path, found: Sequence[object], said: str) -> str:
    """What is said of an entry, without the folder."""
    with pytest.raises(EvalkitError) as caught:
        own(folder, found, said)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")


def only(exam: Exam) -> Sample:
    (sample,) = exam.items.values()
    return sample


def score(exam: Exam, text: str, **more: Any) -> Score:
    assert exam.task.score is not None
    return exam.task.score(only(exam), Response(text, **more))


def value(exam: Exam, text: str) -> float:
    return score(exam, text).value


def evalkit(*words: str) -> Result:
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def test_fields_of_a_row_stand_in_the_prompt_and_braces_may_be_had(tmp_path: Path) -> None:
    row = {"id": 7, "q": "Is {q} a field?", "n": [1, 2], "target": "no", "kind": "x", "of": "y"}
    said = (
        'prompt: "{q} {n} \\\\boxed{{q}} {\\"a\\": {}}", scorer: exact, stratum: kind, cluster: of'
    )
    sample = only(own(tmp_path, [row], said))
    assert sample.prompt == 'Is {q} a field? [1,2] \\boxed{q} {"a": {}}'
    assert sample.question == "Is {q} a field?"
    assert (sample.id, sample.stratum, sample.cluster) == ("7", "x", "y")


def test_a_prompt_may_be_a_conversation_of_the_yaml_or_of_the_row(tmp_path: Path) -> None:
    said = (
        'scorer: exact, prompt: [{role: system, content: Be brief.}, {role: user, content: "{q}"}]'
    )
    sample = only(own(tmp_path, [{"q": "Why?", "target": "so"}], said))
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert sample.prompt == turns
    assert sample.question == "Why?"
    sample = only(own(tmp_path, [{"prompt": turns, "target": "so"}], "scorer: exact"))
    assert sample.prompt == turns
    assert sample.question == "Why?"


def test_a_row_without_an_id_stays_itself_where_others_are_added(tmp_path: Path) -> None:
    first = own(tmp_path, [{"prompt": "b", "target": "1"}], "scorer: exact")
    more = [{"prompt": "a", "target": "1"}, {"prompt": "b", "target": "1"}]
    second = own(tmp_path, more, "scorer: exact")
    assert set(first.items) < set(second.items)


def test_exact_looks_past_spaces_and_where_told_past_case_and_punctuation(tmp_path: Path) -> None:
    row = {"prompt": "?", "target": ["New York", "NYC"]}
    strict = own(tmp_path, [row], "scorer: exact")
    assert [value(strict, text) for text in (" New  York\n", "NYC", "nyc", "NYC.")] == [1, 1, 0, 0]
    assert score(strict, " ").answer is None
    said = "scorer: {name: exact, ignore_case: true, ignore_punctuation: true}"
    loose = own(tmp_path, [row], said)
    assert [value(loose, text) for text in ("nyc.", "new york!", "york")] == [1, 1, 0]


def test_regex_takes_the_last_find_or_the_first(tmp_path: Path) -> None:
    row = {"prompt": "?", "target": 7}
    last = own(tmp_path, [row], r"scorer: {name: regex, pattern: 'Answer: (\d+)'}")
    assert value(last, "Answer: 3. No: Answer: 7") == 1
    assert score(last, "I think 7").answer is None
    assert last.task.solution is not None
    assert last.task.solution(only(last)) == "Answer: 7"
    first = own(tmp_path, [row], r"scorer: {name: regex, pattern: '\d+', which: first}")
    assert value(first, "3, no, 7") == 0


def test_a_pattern_that_never_ends_is_ended(tmp_path: Path) -> None:
    said = "scorer: {name: regex, pattern: '(?:a+)+b$'}"
    exam = own(tmp_path, [{"prompt": "?", "target": "x"}], said)
    began = time.process_time()
    assert score(exam, "a" * 5000 + "c").outcome == "timed_out"
    assert time.process_time() - began < 10


OPTIONS = ["Paris", "Rome", "A farm"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("B", "B"),
        ("(b)", None),
        ("**B**", "B"),
        ("B) Rome", "B"),
        ("The answer is B.", "B"),
        ("Answer: A\nOn reflection, answer: **B**", "B"),
        (r"So \boxed{B}", "B"),
        (r"The answer is $\boxed{\text{B}}$", "B"),
        ("rome.", "B"),
        ("A farm", "C"),
        ("I do not know", None),
        ("A man, a plan", None),
        ("Answer: Z", None),
        ("The answer is Rome", None),
        ("", None),
    ],
)
def test_a_choice_is_read_by_letter_or_by_text(tmp_path: Path, text: str, read: str | None) -> None:
    exam = own(tmp_path, [{"prompt": "?", "choices": OPTIONS, "target": "Rome"}], "scorer: choice")
    found = score(exam, text)
    assert found.answer == read
    assert found.value == (read == "B")


@pytest.mark.parametrize("target", [1, "B", "Rome"])
def test_a_right_option_is_a_place_a_letter_or_its_text(tmp_path: Path, target: object) -> None:
    row = {"q": "Where?", "options": OPTIONS, "answer": target}
    said = 'scorer: choice, choices: options, target: answer, prompt: "{q}\\n{choices}"'
    exam = own(tmp_path, [row], said)
    assert only(exam).prompt == "Where?\nA. Paris\nB. Rome\nC. A farm"
    assert only(exam).choices == tuple(OPTIONS)
    assert exam.task.solution is not None
    assert value(exam, exam.task.solution(only(exam))) == 1


def test_by_likelihood_letters_are_weighed_where_they_are_shown_else_the_texts(
    tmp_path: Path,
) -> None:
    row = {"q": "Where?", "target": "no"}
    said = 'scorer: choice, choices: [yes it is, "no"], ask: loglikelihood, prompt: '
    shown = own(tmp_path, [row], said + '"{q} {choices} Answer:"')
    assert only(shown).choices == ("A", "B")
    bare = own(tmp_path, [row], said + '"{q}"')
    assert only(bare).choices == ("yes it is", "no")
    assert score(bare, "", loglikelihoods=(-3.0, -1.0)).value == 1
    assert score(bare, "", loglikelihoods=(-1.0, -3.0)).value == 0


def test_json_is_held_against_a_schema_of_the_file_or_of_each_row(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    said = "scorer: {name: json_schema, schema: schema.json}"
    exam = own(tmp_path, [{"prompt": "?"}], said)
    assert value(exam, '{"a": 1}') == 1
    assert value(exam, 'Here:\n```json\n{"a": 1}\n```') == 1
    assert score(exam, '{"a": "1"}').details == {"error": "$.a: '1' is not of type 'integer'"}
    assert "not JSON" in score(exam, "{a: 1}").details["error"]
    assert value(exam, "[" * 100_000) == 0
    own_schema = own(tmp_path, [{"prompt": "?", "target": schema}], "scorer: json_schema")
    assert value(own_schema, '{"a": 1}') == 1
    assert value(own_schema, "{}") == 0


def test_a_schema_fetches_nothing(tmp_path: Path) -> None:
    row = {"prompt": "?", "target": {"$ref": "http://127.0.0.1:9/schema.json"}}
    exam = own(tmp_path, [row], "scorer: json_schema")
    with pytest.raises(ValueError, match="the schema refers to what it does not hold"):
        value(exam, "{}")


def test_programs_are_run_in_the_sandbox(tmp_path: Path) -> None:
    tests = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]
    row = {"prompt": "Write add.", "target": tests, "solution": "def add(a, b): return a + b"}
    exam = own(tmp_path, [row], "scorer: {name: code, seconds: 2}")
    assert exam.task.runs_code
    assert exam.task.solution is not None
    assert value(exam, exam.task.solution(only(exam))) == 1
    assert (
        value(exam, "First:\n```\nnothing\n```\n```python\ndef add(a, b): return a + b\n```") == 1
    )
    assert value(exam, "def add(a, b): return 3") == 0
    assert score(exam, "while True: pass").outcome == "timed_out"


def test_a_rubric_has_a_judge_grade_ones_own(tmp_path: Path) -> None:
    (tmp_path / "helpful.md").write_text("Grade {answer} to {question}, as in [[3]].")
    judge = "judge: {model: m, base_url: 'http://127.0.0.1:9/v1'}"
    rows(tmp_path, [{"ask": "Why?"}])
    (tmp_path / "c.yaml").write_text(
        HEAD
        + '  - {name: mine, data: mine.jsonl, prompt: "So: {ask}", rubric: helpful.md}\n'
        + judge
    )
    (exam,) = resolve(load(tmp_path / "c.yaml")).exams
    assert exam.label == "mine@helpful"
    assert exam.task.rubric is not None
    (view,) = exam.task.rubric.views(only(exam), Response("mine"), Response())
    assert "to Why?" in str(view.prompt)
    with pytest.raises(EvalkitError, match=r"tasks\[0\]\.scorer: a judge needs a rubric"):
        own(tmp_path, [{"prompt": "?"}], "scorer: judge")


@pytest.mark.parametrize(
    ("found", "said", "message"),
    [
        ([{"q": "?", "target": 1}], "", "tasks[0]: needs a `scorer:`, or a `rubric:` for a judge"),
        ([{"q": "?"}], "scorer: exat", "tasks[0].scorer.name: unknown scorer 'exat'; did you mean"),
        ([{"q": "?"}], "scorer: regex", "tasks[0].scorer: regex needs a `pattern:`"),
        ([{"q": "?"}], "scorer: {name: regex, pattern: '('}", "scorer.pattern: is no regular expr"),
        (
            [{"q": "?"}],
            "scorer: {name: regex, patern: x}",
            "scorer.patern: unknown option of regex;",
        ),
        (
            [{"q": "?"}],
            "scorer: {name: math, x: 1}",
            "scorer.x: unknown option of math; it takes no",
        ),
        ([{"q": "?"}], "scorer: {name: code, seconds: 0}", "scorer.seconds: has to be above 0"),
        ([{"q": "?"}], "scorer: {name: exact, ignore_case: 7}", "scorer.ignore_case: Input should"),
        (
            [{"q": "?"}],
            "scorer: {name: json_schema, schema: s.json}",
            "scorer.schema: s.json: No su",
        ),
        (
            [{"q": "?"}],
            "scorer: {name: json_schema, schema: {type: 7}}",
            "schema: is no JSON schema",
        ),
        (
            [{"q": "?"}],
            "scorer: exact",
            "tasks[0].prompt: the first row of mine.jsonl has no field",
        ),
        (
            [{"q": "?", "target": 1}],
            'scorer: exact, prompt: "{qq}"',
            "c.yaml:6: tasks[0].prompt: the first row of mine.jsonl has no field 'qq'; did you",
        ),
        (
            [{"prompt": "?", "targt": 1}],
            "scorer: exact",
            "tasks[0].target: the first row of mine.jsonl has no field 'target'; did you mean ",
        ),
        (
            [{"prompt": "?", "target": 1}, {"prompt": "?!", "target": {}}],
            "scorer: exact",
            "c.yaml:6: tasks[0]: mine.jsonl: line 2: its 'target' has to be a text, a number or",
        ),
        (
            [{"prompt": "?", "target": "x", "choices": ["a", "b"]}],
            "scorer: choice",
            "its 'target' is 'x': give an option's text, its letter",
        ),
        ([{"prompt": "?", "choices": ["a"]}], "scorer: choice", "has to have 2 to 26 different"),
        ([{"prompt": "?", "target": "x ="}], "scorer: code", "its 'target' is no Python: invalid"),
        ([[1]], "scorer: exact", "tasks[0].data: the first row of mine.jsonl is not an object"),
        ([{"prompt": "?", "target": 1}] * 2, "scorer: exact", "is there twice"),
        ([], "scorer: exact", "its data hold no questions"),
        ([{"prompt": "?"}], "scorer: exact, preset: x", "a benchmark of your own has no presets"),
        ([{"prompt": "?"}], "scorer: exact, ask: loglikelihood", "tasks[0].ask: only options can"),
    ],
)
def test_whatever_is_wrong_is_told_with_the_line(
    tmp_path: Path, found: list[object], said: str, message: str
) -> None:
    assert message in refusal(tmp_path, found, said)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: mini-copy, scorer: exact}", "`scorer` is of a benchmark of your own: name its fi"),
        ("{name: mini-copy, data: mine.jsonl, scorer: exact}", "comes with evalkit: rename yours"),
        ("{name: a b, data: mine.jsonl, scorer: exact}", "'a b' cannot be a name"),
        ("{name: a, data: none.jsonl, scorer: exact}", "tasks[0].data: no file at "),
        ("./none.py:x", "no file at "),
        ("./broken.py:x", "cannot be imported: SyntaxError"),
        ("./empty_tasks.py", "declares no TASKS"),
        ("./json.py:x", "another module is called json"),
        ("./twice.py:thrice", "unknown task of twice.py 'thrice'"),
    ],
)
def test_what_is_no_benchmark_of_ones_own_is_told(
    tmp_path: Path, entry: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "nowhere"))
    rows(tmp_path, [{"prompt": "?", "target": 1}])
    (tmp_path / "broken.py").write_text("TASKS = (")
    (tmp_path / "empty_tasks.py").write_text("")
    (tmp_path / "json.py").write_text("TASKS = ()")
    (tmp_path / "neighbour.py").write_text("def double(n): return str(2 * n)\n")
    (tmp_path / "twice.py").write_text(TWICE)
    with pytest.raises(EvalkitError, match=r"c\.yaml:6: tasks\[0\]") as caught:
        exams(tmp_path, entry)
    assert message in str(caught.value)


def test_another_prompt_is_another_exam_and_another_scorer_too_but_asks_nothing_again(
    tmp_path: Path,
) -> None:
    found = [{"prompt": "?", "target": "x"}]
    one = own(tmp_path, found, "scorer: exact")
    loose = own(tmp_path, found, "scorer: {name: exact, ignore_case: true}")
    other = own(tmp_path, found, 'scorer: exact, prompt: "{prompt}!"')
    assert len({json.dumps(exam_of(each.task)) for each in (one, loose, other)}) == 3
    assert len({each.marking for each in (one, loose, other)}) == 3
    assert one.source == loose.source
    from evalkit.identity.identity import key

    checkpoint = resolve(load(tmp_path / "c.yaml")).rows[0].checkpoint
    assert key(one.task, checkpoint) == key(loose.task, checkpoint) != key(other.task, checkpoint)


def test_a_whole_run_of_ones_own_and_a_second_that_asks_nothing(tmp_path: Path) -> None:
    rows(tmp_path, [{"prompt": f"Say {n}", "target": str(n)} for n in range(30)])
    (tmp_path / "near.py").write_text("def double(n): return str(2 * n)\n")
    (tmp_path / "doubled.py").write_text(TWICE.replace("neighbour", "near"))
    (tmp_path / "c.yaml").write_text(
        HEAD + "  - {name: mine, data: mine.jsonl, scorer: exact, domain: talk}\n"
        "  - ./doubled.py:twice\nexecutor: child\ngate: {margins: {talk: 50, twice: 50}}\n"
    )
    words = ["run-matrix", str(tmp_path / "c.yaml"), "--results", str(tmp_path / "r"), "--gate"]
    first = evalkit(*words)
    assert first.exit_code == 1, first.output
    assert "regressed  talk         100.0 → 0.0" in first.output
    assert "regressed  mathematics  100.0 → 0.0" in first.output
    (tmp_path / "c.yaml").write_text((tmp_path / "c.yaml").read_text().replace("50", "60"))
    second = evalkit(*words)
    assert second.exit_code == 1
    assert "base · mine" not in second.stderr
    gate = evalkit("gate", *words[1:4])
    assert gate.exit_code == 1, gate.output


def test_a_neighbour_that_changes_has_answers_graded_again(tmp_path: Path) -> None:
    from evalkit import plugins

    (tmp_path / "neighbour_of_it.py").write_text("def double(n): return str(2 * n)\n")
    source = TWICE.replace("neighbour", "neighbour_of_it")
    (tmp_path / "graded_again.py").write_text(source)
    (exam,) = exams(tmp_path, "./graded_again.py")
    files = [Path(each).name for each in plugins.source_files(exam.task.samples.__module__)]
    assert files == ["graded_again.py", "neighbour_of_it.py"]
    before = exam.source
    (tmp_path / "neighbour_of_it.py").write_text("def double(n): return str(n + n)\n")
    assert exams(tmp_path, "./graded_again.py")[0].source != before


def test_a_section_that_crosses_over_to_a_child_says_the_same(tmp_path: Path) -> None:
    exam = own(tmp_path, [{"prompt": "?", "target": 1}], "scorer: {name: regex, pattern: x}")
    told = json.loads(json.dumps(exam.section.model_dump(exclude_unset=True)))
    assert TaskSection(**told) == exam.section


def test_mathematics_is_compared_as_mathematics(tmp_path: Path) -> None:
    pytest.importorskip("math_verify")
    exam = own(tmp_path, [{"prompt": "?", "target": "1/2"}], "scorer: math")
    assert exam.task.solution is not None
    assert value(exam, exam.task.solution(only(exam))) == 1
    assert value(exam, r"So it is $\frac{2}{4}$.") == 1
    assert value(exam, r"\boxed{0.5}") == 1
    assert value(exam, r"\boxed{2}") == 0
    assert score(exam, " ").answer is None
