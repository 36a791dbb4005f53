"""A report as a real run would give it: a pipeline of four checkpoints over six domains."""

from __future__ import annotations

from typing import Any

from evalkit.verdict import (
    CandidateVerdict,
    CellVerdict,
    CheckpointNote,
    CheckpointScore,
    CleanNote,
    Curve,
    DomainVerdict,
    GroupScore,
    JudgeCost,
    JudgeNote,
    Manner,
    NoiseNote,
    Outcome,
    Outcomes,
    Report,
    TrainingNote,
)

N = 300
DOMAINS = {
    "instruction-following": "mini-instructions",
    "multiple-choice": "mini-choice",
    "arithmetic": "mini-arithmetic",
    "function-calling": "mini-tools",
    "chat": "mini-chat",
}


TRAINING = TrainingNote(
    stage="dpo",
    method="dpo",
    curves=[
        Curve(name="loss", steps=[10, 20, 30], values=[0.69, 0.41, 0.2]),
        Curve(name="rewards/chosen", steps=[10, 20, 30], values=[0.0, -0.4, -0.9]),
    ],
    flags=[
        "the chosen answers became less likely (reward -0.9) while margins rose: "
        "likelihood displacement"
    ],
)


def pair(domain: str, verdict: Outcome, lost: int, gained: int, **more: Any) -> dict[str, Any]:
    """The fields of a domain and of its only cell, from counts of flips."""
    delta = (gained - lost) / N
    half = 1.6449 * max(gained + lost, 3) ** 0.5 / N
    falls = {"regressed": 0.0004, "improved": 1.0}.get(verdict, 0.41)
    rises = {"improved": 0.0002, "regressed": 1.0}.get(verdict, 0.62)
    unit = {
        "domain": domain,
        "verdict": verdict,
        "delta": delta,
        "ci": (delta - half, delta + half),
        "margin": 0.03,
        "gates": True,
        "p_regressed": falls / 5,
        "p_regressed_adjusted": falls,
        "p_improved": rises / 5,
        "p_improved_adjusted": rises,
    }
    return unit | more


def flips(unit: dict[str, Any]) -> dict[str, int]:
    """The counts that `pair` was given, worked back from its estimate and interval."""
    both = round(((unit["ci"][1] - unit["delta"]) * N / 1.6449) ** 2)
    net = round(unit["delta"] * N)
    return {"lost": (both - net) // 2, "gained": (both + net) // 2}


def cell(unit: dict[str, Any], base: float, **more: Any) -> CellVerdict:
    """The cell behind a domain of one task."""
    delta = unit["delta"]
    own: dict[str, Any] = flips(unit) | {
        "task": DOMAINS[unit["domain"]],
        "n": N,
        "baseline_score": base,
        "candidate_score": base + delta,
        "mde80": 0.061,
        "method": "tango",
    }
    return CellVerdict(**(unit | {"gates": False} | own | more))


def mini(name: str, against: str, units: list[tuple[dict[str, Any], float]]) -> CandidateVerdict:
    """A candidate over the five miniature domains."""
    found = {unit["verdict"] for unit, _ in units}
    regressed = "regressed" in found
    return CandidateVerdict(
        name=name,
        against=against,
        verdict="regressed" if regressed else "inconclusive",
        exit_code=1 if regressed else 3,
        domains=[DomainVerdict(**unit) for unit, _ in units],
        cells=[cell(unit, base) for unit, base in units],
    )


def sft() -> CandidateVerdict:
    """Supervised fine-tuning: better at instructions, worse at knowledge and at choices."""
    better = pair("instruction-following", "improved", 21, 118)
    worse = pair("multiple-choice", "regressed", 71, 22, flags=["beyond_margin"])
    same = pair("arithmetic", "no_regression", 2, 3, flags=["saturated"])
    unclear = pair("function-calling", "inconclusive", 41, 30, flags=["suspect"])
    broken: dict[str, Any] = {
        "gates": True,
        "domain": "chat",
        "verdict": "invalid",
        "reason": "the judge differs between the two sides",
        "margin": 0.05,
    }
    knowledge: dict[str, Any] = {
        "domain": "knowledge",
        "verdict": "regressed",
        "delta": -0.05619,
        "ci": (-0.0637, -0.0487),
        "margin": 0.01,
        "gates": True,
        "p_regressed": 1e-30,
        "p_regressed_adjusted": 6e-30,
        "p_improved": 1.0,
        "p_improved_adjusted": 1.0,
        "flags": ["beyond_margin"],
    }
    single = [
        cell(better, 0.312, completed=(0.33, 0.66)),
        cell(worse, 0.55, outcomes=Outcomes(baseline={"unparsed": 4}, candidate={"unparsed": 61})),
        cell(same, 0.983, differences=["engine 0.21 and 0.22"]),
        cell(unclear, 0.42),
    ]
    judged = CellVerdict(
        **(broken | {"gates": False}),
        task="mini-chat",
        comparable=False,
        differences=["judge: small and large"],
    )
    mmlu = CellVerdict(
        **(knowledge | {"gates": False}),
        task="mmlu-pro",
        n=12032,
        baseline_score=0.2977,
        candidate_score=0.2415,
        lost=1832,
        gained=1156,
        mde80=0.011,
        method="tango",
        outcomes=Outcomes(
            baseline={"unparsed": 1251, "correct": 3582, "wrong": 7199},
            candidate={"unparsed": 1865, "truncated": 12, "correct": 2906, "wrong": 7249},
        ),
        lost_to={"wrong": 1411, "unparsed": 417, "truncated": 4},
        clean=CleanNote(
            touched=310, n=11722, scores=(0.2921, 0.2377), delta=-0.0544, ci=(-0.0620, -0.0468)
        ),
        completed=(0.3323, 0.2858),
    )
    domains = [better, worse, same, unclear, broken, knowledge]
    return CandidateVerdict(
        name="sft",
        against="base",
        verdict="regressed",
        exit_code=1,
        domains=[DomainVerdict(**unit) for unit in domains],
        cells=[*single, judged, mmlu],
    )


def tools() -> CandidateVerdict:
    """A candidate with a domain of several cells, one of which falls alone."""
    domain = pair("function-calling", "no_regression", 20, 18, flags=["mixed"])
    one = pair("function-calling", "regressed", 40, 12, margin=None)
    two = pair("function-calling", "improved", 10, 52, margin=None)
    return CandidateVerdict(
        name="grpo",
        against="dpo",
        verdict="regressed",
        exit_code=1,
        domains=[DomainVerdict(**domain)],
        cells=[cell(two, 0.40, task="tools-parallel"), cell(one, 0.61, task="tools-simple")],
    )


def sample_report() -> Report:
    """Everything that a table has to show, in one report."""
    dpo = [
        (pair("instruction-following", "improved", 15, 101), 0.312),
        (pair("multiple-choice", "inconclusive", 40, 33), 0.55),
        (pair("chat", "improved", 12, 60), 0.40),
    ]
    small = pair("multiple-choice", "no_regression", 5, 0, flags=["small_decline"])
    small |= {"p_regressed": 0.016, "p_regressed_adjusted": 0.032}
    grpo = [
        (pair("arithmetic", "improved", 3, 80), 0.683),
        (pair("chat", "regressed", 64, 14), 0.52),
        (small, 0.55),
    ]
    return Report(
        baseline="base",
        verdict="regressed",
        exit_code=1,
        candidates=[
            sft(),
            mini("dpo", "base", dpo),
            mini("dpo", "sft", [dpo[1]]),
            mini("grpo", "base", grpo),
            tools(),
        ],
        checkpoints=[
            CheckpointNote(name="base", identity="0f3a" * 16, method="pretrain", backend="local"),
            CheckpointNote(name="sft", identity="77b1" * 16, parent="base", method="sft"),
            CheckpointNote(name="dpo", identity="c0de" * 16, parent="sft", method="dpo"),
            CheckpointNote(name="grpo", identity="9a9a" * 16, parent="dpo", method="grpo"),
        ],
        scores=[
            CheckpointScore(
                checkpoint="sft",
                task="mmlu-pro",
                domain="knowledge",
                n=12032,
                score=0.2415,
                manner=Manner(
                    answers=12032,
                    characters=412.3,
                    refused=0.061,
                    compared=980,
                    other_language=0.034,
                    languages={"en": 0.966, "de": 0.034},
                ),
            ),
            CheckpointScore(
                checkpoint="base",
                task="mmlu-pro",
                domain="knowledge",
                n=12032,
                score=0.2977,
                ci=(0.2909, 0.3046),
                manner=Manner(
                    answers=12032,
                    characters=1204.6,
                    refused=0.002,
                    compared=992,
                    other_language=0.0,
                    languages={"en": 1.0},
                ),
            ),
        ],
        groups=[
            GroupScore(
                checkpoint=name,
                group="lm-eval:mmlu",
                figure="acc,none",
                value=value,
                tasks=57,
                n=14042,
                by_size=True,
            )
            for name, value in (("base", 0.45214), ("sft", 0.44822))
        ],
        judges=[
            JudgeNote(
                task="mini-chat",
                judge="judge",
                accuracy=0.87,
                flip_rate=0.11,
                pairs=400,
                answers=1200,
                turned=0.14,
                cost=JudgeCost(
                    calls=2400, prompt_tokens=1_440_000, completion_tokens=9600, price=2.96
                ),
                audits=JudgeCost(calls=1000, prompt_tokens=600_000, completion_tokens=4000),
            ),
            JudgeNote(
                task="mini-tone",
                judge="judge",
                accuracy=0.71,
                flip_rate=0.31,
                pairs=90,
                advisory=True,
            ),
        ],
        noise=[
            NoiseNote(
                task="mmlu-pro",
                checkpoint="base",
                n=12032,
                epochs=2,
                flip_rate=0.0213,
                ci=(0.0192, 0.0236),
                sd_delta=0.00133,
                greedy=True,
                reworded=0.118,
            ),
        ],
        training=[TRAINING],
        notes=["mmlu-pro: the answers of base and sft are replayed from recordings"],
    )


def hostile_report(text: str) -> Report:
    """A small report in which every name, reason, flag, note and class is the same text."""
    unit: dict[str, Any] = {"domain": text, "verdict": "regressed", "reason": text, "flags": [text]}
    unit |= {"delta": -0.1, "ci": (-0.2, -0.05), "margin": 0.01, "gates": True}
    inside = CellVerdict(
        **unit | {"verdict": "inconclusive"},
        task=text,
        n=10,
        baseline_score=0.5,
        candidate_score=0.4,
        comparable=False,
        differences=[text],
        outcomes=Outcomes(baseline={text: 1}, candidate={text: 2}),
        lost_to={text: 1},
    )
    candidate = CandidateVerdict(
        name=text,
        against=text,
        verdict="regressed",
        exit_code=1,
        domains=[DomainVerdict(**unit)],
        cells=[inside],
    )
    return Report(
        baseline="base",
        verdict="regressed",
        exit_code=1,
        candidates=[candidate, candidate.model_copy(update={"against": "base"})],
        checkpoints=[CheckpointNote(name=text, identity=text, parent=text, method=text)],
        scores=[CheckpointScore(checkpoint=text, task=text, domain=text, n=1, score=0.5)],
        groups=[
            GroupScore(
                checkpoint=text, group=text, figure=text, value=0.5, tasks=1, n=1, by_size=False
            )
        ],
        judges=[JudgeNote(task=text, judge=text, advisory=True)],
        noise=[NoiseNote(task=text, checkpoint=text)],
        notes=[text],
    )
