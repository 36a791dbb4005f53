"""A folder of lm-eval task files of every kind, on small data that lie beside them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from textwrap import dedent
from typing import Any

NOUNS = ("cat", "river", "lamp", "stone", "garden", "engine", "window", "letter")
LETTERS = "abc"

DATA = """
    dataset_path: json
    dataset_kwargs: {data_files: {test: rows/test.jsonl, train: rows/train.jsonl}}
    test_split: test
    training_split: train
    metadata: {version: 2.0}
"""
GENERATION = """
    output_type: generate_until
    doc_to_text: "Question: {{question}}\\nAnswer:"
    doc_to_target: "{{letter}}"
    generation_kwargs: {until: ["q", "\\n\\n"], max_gen_toks: 12, do_sample: false}
"""
FIRST_LETTER = """
    filter_list:
      - name: strict
        filter: [{function: regex, regex_pattern: "^ ?([a-z])"}, {function: take_first}]
      - name: flexible
        filter: [{function: regex, regex_pattern: "([A-Za-z])"}, {function: take_first}]
"""
CHOICE = """
    output_type: multiple_choice
    doc_to_text: "{{question}}"
    doc_to_choice: options
    doc_to_target: label
"""

TASKS = {
    "gen_plain": GENERATION + FIRST_LETTER,
    "gen_shots": GENERATION
    + """
    num_fewshot: 3
    fewshot_split: train
    metric_list:
      - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
    """
    + FIRST_LETTER,
    "gen_targets": """
    description: "Answer with a letter.\\n\\n"
    doc_to_text: question
    doc_to_target: letters
    generation_kwargs: {until: ["."], max_gen_toks: 1}
    metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
    """
    + FIRST_LETTER,
    "gen_repeats": GENERATION
    + """
    repeats: 3
    filter_list:
      - name: majority
        filter:
          - {function: regex, regex_pattern: "([a-z])"}
          - {function: majority_vote}
          - {function: take_first}
    """,
    "last_word": """
    output_type: loglikelihood
    doc_to_text: "{{text.rsplit(' ', 1)[0]}}"
    doc_to_target: "{{' ' + text.rsplit(' ', 1)[1]}}"
    metric_list:
      - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
      - {metric: acc, aggregation: mean, higher_is_better: true}
    """,
    "last_letter": """
    output_type: loglikelihood
    num_fewshot: 2
    fewshot_split: test
    doc_to_text: "{{question}}"
    doc_to_target: "{{letter}}"
    target_delimiter: ""
    """,
    "choice_plain": CHOICE
    + """
    metric_list:
      - {metric: acc, aggregation: mean, higher_is_better: true}
      - {metric: acc_norm, aggregation: mean, higher_is_better: true}
      - {metric: acc_bytes, aggregation: mean, higher_is_better: true}
      - {metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}
      - {metric: brier_score, aggregation: brier_score, higher_is_better: false}
    """,
    "choice_shots": CHOICE
    + """
    description: "About {{question.split()[2]}}.\\n"
    num_fewshot: 2
    fewshot_split: train
    fewshot_config: {sampler: first_n}
    target_delimiter: "\\n"
    """,
    "choice_inputs": """
    output_type: multiple_choice
    doc_to_text: label
    doc_to_choice: "{{[text + ' a', text + ' bee', text + ' sea']}}"
    doc_to_target: "{{question}}"
    metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
    """,
    "choice_few": CHOICE + "    process_docs: !function own.few\n",
    "choice_mutual": CHOICE
    + """
    metric_list:
      - {metric: acc, aggregation: mean, higher_is_better: true}
      - {metric: acc_mutual_info, aggregation: mean, higher_is_better: true}
    """,
    "choice_many": """
    output_type: multiple_choice
    doc_to_text: question
    doc_to_choice: options
    doc_to_target: labels
    """,
    "rolling_plain": """
    output_type: loglikelihood_rolling
    doc_to_text: ""
    doc_to_target: text
    """,
    "rolling_own": """
    output_type: loglikelihood_rolling
    process_docs: !function own.shortened
    doc_to_text: ""
    doc_to_target: text
    process_results: !function own.results
    metric_list:
      - {metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}
      - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
    """,
    "gen_class": """
    class: !function of_class.Contains
    """,
    "gen_begun": GENERATION + FIRST_LETTER + '    gen_prefix: "The letter is"',
}
CHAT = ("gen_plain", "gen_shots", "gen_targets", "last_word", "choice_plain", "choice_shots")
"""Tasks that are asked of a model with a chat template too."""

OWN = '''
def shortened(docs):
    """The documents without their last words."""
    return docs.map(lambda doc: {"text": doc["text"].rsplit(" ", 3)[0]})


def few(docs):
    """Less than half of the documents."""
    return docs.select(range(len(docs) // 2))


def results(doc, results):
    """Counts what the whole document has."""
    (nats,) = results
    return {"bits_per_byte": (nats, len(doc["text"].encode()) + 4),
            "word_perplexity": (nats, len(doc["text"].split()) + 3)}
'''
OF_CLASS = '''
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask


class Contains(ConfigurableTask):
    """Whether the letter stands anywhere in the answer."""

    VERSION = 3
    DATASET_PATH = "json"

    def __init__(self, config=None):
        files = {"validation": "rows/test.jsonl"}
        super().__init__(config={"metadata": {"version": self.VERSION},
                                 "dataset_kwargs": {"data_files": files}})

    def has_training_docs(self):
        return False

    def has_validation_docs(self):
        return True

    def has_test_docs(self):
        return False

    def validation_docs(self):
        return self.dataset["validation"]

    def doc_to_text(self, doc):
        return doc["question"] + " Answer:"

    def doc_to_target(self, doc):
        return doc["letter"]

    def construct_requests(self, doc, ctx, chat_template=None, apply_chat_template=False, **kwargs):
        asked = (ctx, {"until": ["B", "\\n"], "max_gen_toks": 9})
        return [Instance(request_type="generate_until", doc=doc, arguments=asked, idx=0, **kwargs)]

    def process_results(self, doc, results):
        return {"contains": doc["letter"] in results[0], "letters": len(results[0]) / 50}

    def aggregation(self):
        return {"contains": lambda found: sum(found) / len(found), "letters": max}

    def higher_is_better(self):
        return {"contains": True, "letters": False}


class Two(Contains):
    """Asks twice about each document."""

    def construct_requests(self, doc, ctx, **kwargs):
        first = super().construct_requests(doc, ctx, **kwargs)
        return [*first, Instance(request_type="loglikelihood", doc=doc, arguments=(ctx, " none"),
                                 idx=0)]


class Late(Contains):
    """Has other metrics with other data."""

    def aggregation(self):
        return {name: max for name in self.dataset["validation"].features}
'''
GROUP = """
    group: everything
    task: [gen_plain, {task: choice_plain, num_fewshot: 1}, inner]
    metadata: {version: 1.0}
"""
INNER = """
    group: inner
    task: [some_tag]
"""
SUMMED = {
    "by_size": """
        group: by_size
        task:
          - gen_plain
          - evenly
          - {group: inside, task: [gen_shots, choice_shots], aggregate_metric_list: {metric: acc}}
        aggregate_metric_list:
          - {metric: acc, weight_by_size: true}
          - {metric: exact_match, filter_list: strict}
    """,
    "evenly": """
        group: evenly
        task: [choice_plain, choice_few, gen_targets]
        aggregate_metric_list:
          - {metric: acc, weight_by_size: false}
          - {metric: acc_norm, weight_by_size: false, filter_list: [none]}
          - {metric: exact_match, weight_by_size: false}
    """,
}
"""Groups that are given numbers of their own; their tasks differ in size and metrics."""


def task_files(folder: Path, rows: int = 16) -> Path:
    """The folder with all of them, their data and a group."""
    data = folder / "rows"
    data.mkdir(parents=True)
    for split, count in (("test", rows), ("train", 8)):
        lines = (json.dumps(row(split, number)) for number in range(count))
        (data / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for name, said in TASKS.items():
        tag = "tag: some_tag\n" if name.startswith("last") else ""
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{tag}{dedent(DATA)}{dedent(said)}")
    (folder / "own.py").write_text(OWN)
    (folder / "of_class.py").write_text(OF_CLASS)
    (folder / "everything.yaml").write_text(dedent(GROUP))
    (folder / "inner.yaml").write_text(dedent(INNER))
    for name, said in SUMMED.items():
        (folder / f"{name}.yaml").write_text(dedent(said))
    return folder


def row(split: str, number: int) -> dict[str, Any]:
    """One document: a question with options, a letter and a few words of text."""
    draw = random.Random(f"{split} {number}")
    words = [draw.choice(NOUNS) for _ in range(12)]
    options = draw.sample(NOUNS, 3)
    return {
        "question": f"Which {words[0]} {words[1]} is number {number}?",
        "text": f"The {' '.join(words)}",
        "letter": draw.choice(LETTERS),
        "letters": draw.sample(LETTERS + "ABC", 3),
        "options": options,
        "label": draw.randrange(3),
        "labels": draw.sample(range(3), 2),
    }
