"""GSM8K: 1,319 grade-school word problems, each answered by a number after some steps.

Cobbe et al., Training Verifiers to Solve Math Word Problems, 2021, arXiv:2110.14168; the eight
worked problems of Wei et al., Chain-of-Thought Prompting Elicits Reasoning in Large Language
Models, NeurIPS 2022, arXiv:2201.11903, table 20.  Answers are compared as numbers.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal

from evalkit.errors import DataError
from evalkit.types import (
    Message,
    Prompt,
    Response,
    Rows,
    Sample,
    Sampling,
    Score,
    Source,
    Task,
)

SOURCE = Source(
    hub="openai/gsm8k",
    revision="740312add88f781978c0658806c59bc2815b9866",
    folder="gsm8k",
    splits={"test": "test"},
    counts={"test": 1319},
    fields=("question", "answer"),
    licence="MIT",
    on_hub={"test": "main/test"},
)

EXAMPLES = (
    (
        "There are 15 trees in the grove. Grove workers will plant trees in the grove today. After"
        " they are done, there will be 21 trees. How many trees did the grove workers plant today?",
        "There are 15 trees originally. Then there were 21 trees after some more were planted. So"
        " there must have been 21 - 15 = 6.",
        6,
    ),
    (
        "If there are 3 cars in the parking lot and 2 more cars arrive, how many cars are in the"
        " parking lot?",
        "There are originally 3 cars. 2 more cars arrive. 3 + 2 = 5.",
        5,
    ),
    (
        "Leah had 32 chocolates and her sister had 42. If they ate 35, how many pieces do they have"
        " left in total?",
        "Originally, Leah had 32 chocolates. Her sister had 42. So in total they had 32 + 42 = 74."
        " After eating 35, they had 74 - 35 = 39.",
        39,
    ),
    (
        "Jason had 20 lollipops. He gave Denny some lollipops. Now Jason has 12 lollipops. How many"
        " lollipops did Jason give to Denny?",
        "Jason started with 20 lollipops. Then he had 12 after giving some to Denny. So he gave"
        " Denny 20 - 12 = 8.",
        8,
    ),
    (
        "Shawn has five toys. For Christmas, he got two toys each from his mom and dad. How many"
        " toys does he have now?",
        "Shawn started with 5 toys. If he got 2 toys each from his mom and dad, then that is 4 more"
        " toys. 5 + 4 = 9.",
        9,
    ),
    (
        "There were nine computers in the server room. Five more computers were installed each day,"
        " from monday to thursday. How many computers are now in the server room?",
        "There were originally 9 computers. For each of 4 days, 5 more computers were added. So 5 *"
        " 4 = 20 computers were added. 9 + 20 is 29.",
        29,
    ),
    (
        "Michael had 58 golf balls. On tuesday, he lost 23 golf balls. On wednesday, he lost 2"
        " more. How many golf balls did he have at the end of wednesday?",
        "Michael started with 58 golf balls. After losing 23 on tuesday, he had 58 - 23 = 35. After"
        " losing 2 more, he had 35 - 2 = 33 golf balls.",
        33,
    ),
    (
        "Olivia has $23. She bought five bagels for $3 each. How much money does she have left?",
        "Olivia had 23 dollars. 5 bagels for 3 dollars each will be 5 x 3 = 15 dollars. So she has"
        " 23 - 15 dollars left. 23 - 15 is 8.",
        8,
    ),
)

ZERO_SHOT = "Q: {question}\nA: Let's think step by step."
LLAMA = (
    "Given the following problem, reason and give a final answer to the problem.\n"
    "Problem: {question}\n"
    'Your response should end with "The final answer is [answer]" where [answer] is the response'
    " to the problem.\n"
)
SIMPLE_EVALS = (
    "Solve this math problem. Give the reasoning steps before giving the final answer on the last"
    ' line by itself in the format of "Answer:". Do not add anything other than the integer answer'
    ' after "Answer:".\n\n{question}'
)

NUMBER = r"-?\$?[0-9][0-9,]*(?:\.[0-9]+)?"
STATED = re.compile(rf"[Tt]he answer is:? ({NUMBER})")
STRICT = re.compile(r"The answer is (-?[0-9.,]+).")
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
FINAL = re.compile(r"The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+))")
DIGITS = re.compile(r"(?:(?<!\S)-)?[0-9]+\.?[0-9]*")  # no answer of MGSM has a sign; two here do
PLAIN = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)")


Ask = Callable[[str], Prompt]


def samples(rows: Rows) -> Iterator[Sample]:
    """The test problems after eight worked ones."""
    return _samples(rows, _eight_shots)


def samples_zero_shot(rows: Rows) -> Iterator[Sample]:
    """The test problems, each with the beginning of an answer (Kojima et al. 2022)."""
    return _samples(rows, lambda question: ZERO_SHOT.format(question=question))


def samples_llama(rows: Rows) -> Iterator[Sample]:
    """The test problems after eight worked ones, as a conversation, as Meta asks Llama 3."""
    return _samples(rows, _conversation)


def samples_simple_evals(rows: Rows) -> Iterator[Sample]:
    """The test problems in the words in which simple-evals asks those of MGSM."""
    return _samples(rows, lambda question: [_user(SIMPLE_EVALS, question)])


def _samples(rows: Rows, ask: Ask) -> Iterator[Sample]:
    for number, row in enumerate(rows("test")):
        question, worked = str(row["question"]), str(row["answer"])
        target = plain(worked.rpartition("#### ")[2])
        if target is None:
            raise DataError(f"gsm8k: row {number + 1}: no number after #### in {worked[-40:]!r}")
        yield Sample(str(number), ask(question), target, question, metadata={"worked": worked})


def _eight_shots(question: str) -> str:
    return f"{SHOTS}Q: {question}\nA:"


def _conversation(question: str) -> list[Message]:
    turns: list[Message] = []
    for asked, steps, answer in EXAMPLES:
        turns.append(_user(LLAMA, asked))
        turns.append({"role": "assistant", "content": f"{steps} The final answer is {answer}"})
    return [*turns, _user(LLAMA, question)]


def _user(form: str, question: str) -> Message:
    return {"role": "user", "content": form.format(question=question)}


def plain(text: str) -> str | None:
    """A number without currency, separators and needless digits; None where it is none."""
    bare = text.strip().replace("$", "").replace(",", "").removesuffix(".")
    if not PLAIN.fullmatch(bare):
        return None
    found = f"{Decimal(bare):f}"
    return found.rstrip("0").rstrip(".") if "." in found else found


def stated(text: str) -> str | None:
    """The first number of which it says that the answer is it, as in the worked problems."""
    found = STATED.search(text)
    return found[1] if found else None


def strict(text: str) -> str | None:
    """What lm-eval's `strict-match` finds, which loses the last digit of an answer at the end."""
    found = STRICT.search(text)
    return found[1] if found else None


def flexible(text: str) -> str | None:
    """What lm-eval's `flexible-extract` finds: whatever looks like a number last."""
    return _last(FLEXIBLE, text)


def final(text: str) -> str | None:
    """What lm-eval finds in the form that Meta asks for."""
    return _last(FINAL, text)


def after_answer(text: str) -> str | None:
    """The last number after the last "Answer", as simple-evals finds it."""
    _, there, rest = text.rpartition("Answer")
    return _last(DIGITS, rest.replace(",", "")) if there else None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = deque(pattern.finditer(text), maxlen=1)
    return next((group for group in found[0].groups() if group), found[0][0]) if found else None


def score(sample: Sample, response: Response) -> Score:
    """Right when the number that is stated as the answer equals the target."""
    return _score(sample, stated(response.text))


def score_strict(sample: Sample, response: Response) -> Score:
    """The same for lm-eval's strict match."""
    return _score(sample, strict(response.text))


def score_flexible(sample: Sample, response: Response) -> Score:
    """The same for lm-eval's flexible match."""
    return _score(sample, flexible(response.text))


def score_final(sample: Sample, response: Response) -> Score:
    """The same for "The final answer is"."""
    return _score(sample, final(response.text))


def score_after_answer(sample: Sample, response: Response) -> Score:
    """The same for a last line "Answer: …"."""
    return _score(sample, after_answer(response.text))


def _score(sample: Sample, found: str | None) -> Score:
    answer = None if found is None else plain(found)
    return Score(float(answer == sample.target), answer)


def solution(sample: Sample) -> str:
    """The authors' steps, and the answer in each of the forms that are asked for."""
    steps = str(sample.metadata["worked"]).partition("####")[0]
    return f"{steps}The answer is {sample.target}. The final answer is {sample.target}\n" + (
        f"Answer: {sample.target}"
    )


SHOTS = "".join(
    f"Q: {asked}\nA: {steps} The answer is {answer}.\n\n" for asked, steps, answer in EXAMPLES
)
STOP = ("Q:", "</s>", "<|im_end|>")

TASKS = (
    Task(
        name="gsm8k",
        domain="mathematics",
        version=1,
        samples=samples,
        score=score,
        sampling=Sampling(max_tokens=512, stop=STOP),
        solution=solution,
        source=SOURCE,
        fewshot=len(EXAMPLES),
        presets={
            "lm-eval-strict": {"score": score_strict},
            "lm-eval-flexible": {"score": score_flexible},
            "zero-shot": {
                "samples": samples_zero_shot,
                "score": score_flexible,
                "fewshot": 0,
            },
            "llama": {
                "samples": samples_llama,
                "score": score_final,
                "sampling": Sampling(max_tokens=1024),
            },
            "simple-evals": {
                "samples": samples_simple_evals,
                "score": score_after_answer,
                "sampling": Sampling(temperature=0.5, max_tokens=2048),
                "fewshot": 0,
            },
        },
    ),
)
