"""Rankings from judged battles, on battles whose answer is known."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import DataError, UnknownName
from evalkit.ranking.cells import REFERENCE
from evalkit.ranking.cells import battles as of_cells
from evalkit.ranking.style import FEATURES, style
from evalkit.reporting.cells import stored
from evalkit.stats.battles import Battle, rank
from evalkit.stats.rankings import bradley_terry
from evalkit.storage.store import Store
from tests.small_exams import RUBRIC, doubles, exam, fair, held, right_below, row

TRUE = {"a": 0.0, "b": 0.5, "c": -0.7, "d": 1.2}
LONG = {"a": 0.0, "b": 0.0, "c": 0.6, "d": 0.0}


def fought(prompts: int = 300, *, taste: float = 0.0, seed: int = 1) -> list[Battle]:
    """Everybody against everybody on every prompt; `taste` is what the judge pays for length."""
    random = np.random.default_rng(seed)
    battles = []
    for prompt in range(prompts):
        for first, second in combinations(TRUE, 2):
            longer = float(random.normal(LONG[first] - LONG[second], 0.3))
            odds = TRUE[first] - TRUE[second] + taste * longer
            won = float(random.random() < 1 / (1 + np.exp(-odds)))
            battles.append(Battle(str(prompt), first, second, won, style=(longer,)))
    return battles


def plain(battles: list[Battle]) -> list[Battle]:
    return [Battle(b.prompt, b.first, b.second, b.won, b.weight) for b in battles]


def strengths(battles: list[Battle]) -> dict[str, float]:
    return {place.player: place.strength for place in rank(battles, "a", resamples=2).places}


def test_known_strengths_are_found_and_lie_in_their_intervals() -> None:
    found = rank(plain(fought()), "a", resamples=200)
    assert [place.player for place in found.places] == ["d", "b", "a", "c"]
    for place in found.places:
        assert place.strength == pytest.approx(TRUE[place.player], abs=0.25)
        assert place.lower <= place.strength <= place.upper
        assert place.player == "a" or place.lower < TRUE[place.player] < place.upper
    assert found.unfitted == 0


def test_single_battles_and_sums_of_games_give_the_same_strengths() -> None:
    battles = plain(fought(60))
    games = [(b.first, b.second, b.won, 1 - b.won) for b in battles]
    assert strengths(battles) == pytest.approx(bradley_terry(games, "a"), abs=1e-8)


def test_style_control_takes_out_what_length_earned() -> None:
    battles = fought(600, taste=2.0)
    paid, content = strengths(plain(battles)), strengths(battles)
    assert paid["c"] > TRUE["c"] + 0.3  # its long answers pay
    for player, true in TRUE.items():
        assert content[player] == pytest.approx(true, abs=0.25)
    (coefficient,) = rank(battles, "a", resamples=2).style
    scale = np.sqrt(np.mean([b.style[0] ** 2 for b in battles]))
    assert coefficient / scale == pytest.approx(2.0, abs=0.4)


def test_exchanging_the_sides_changes_nothing() -> None:
    battles = fought(80, taste=1.0)
    turned = [Battle(b.prompt, b.second, b.first, 1 - b.won, b.weight, (-b.style[0],))
              for b in battles]  # fmt: skip
    assert strengths(turned) == pytest.approx(strengths(battles), abs=1e-8)


def test_a_weight_counts_as_so_many_battles_and_a_tie_as_half_of_two() -> None:
    base = plain(fought(40))
    heavy = [Battle(b.prompt, b.first, b.second, b.won, 3.0) for b in base[:10]] + base[10:]
    assert strengths(heavy) == pytest.approx(strengths(base[:10] * 2 + base), abs=1e-8)
    tied = [*base, Battle("t", "a", "b", 0.5, 2.0)]
    split = [*base, Battle("t", "a", "b", 1.0), Battle("t", "a", "b", 0.0)]
    assert strengths(tied) == pytest.approx(strengths(split), abs=1e-8)


def test_copies_within_a_prompt_make_nothing_more_certain() -> None:
    once = plain(fought(50))

    def width(battles: list[Battle]) -> float:
        places = {p.player: p for p in rank(battles, "a", resamples=100).places}
        return places["b"].upper - places["b"].lower

    assert width(once * 4) == pytest.approx(width(once), rel=1e-6)


def test_the_same_battles_give_the_same_ranking() -> None:
    battles = plain(fought(30))
    assert rank(battles, "a", resamples=20) == rank(battles, "a", resamples=20)


def test_players_without_a_finite_strength_are_refused() -> None:
    with pytest.raises(ValueError, match="no finite strengths"):
        rank([Battle(str(i), "a", "b", 1.0) for i in range(9)], "a")
    with pytest.raises(ValueError, match="'z' has no battles"):
        rank(plain(fought(5)), "z")


def test_resamples_that_fit_nothing_are_counted() -> None:
    battles = [Battle(str(i), "a", "b", float(i > 0)) for i in range(6)]
    assert 0.1 < rank(battles, "a", resamples=100).unfitted < 0.6


def test_style_is_length_and_markdown_against_each_other() -> None:
    assert len(style("", "")) == len(FEATURES)
    assert style("", "") == (0.0, 0.0, 0.0, 0.0)
    assert style("aaa", "a") == (0.5, 0.0, 0.0, 0.0)
    assert style("# T\n- x\n**b**", "plain words") == pytest.approx((1 / 12, 1, 1, 1), abs=0.02)
    one, other = "- a\n- b\n", "- a\nlong text\n"
    assert style(one, other) == pytest.approx(tuple(-x for x in style(other, one)))


def judged(results: Path) -> Store:
    """Two checkpoints judged against references, and a task that is not judged."""
    chat = doubles(40, name="chat", score=None, domain="chat", rubric=RUBRIC)
    rows = [row("good", right_below(36)), row("weak", right_below(20))]
    held(rows, [exam(chat), exam(doubles(5))], results, judge=row("judge", fair))
    return Store(results)


def test_judged_cells_are_battles_against_the_references(tmp_path: Path) -> None:
    found = of_cells(stored(judged(tmp_path)), "chat", ["good", "weak"])
    assert len(found) == 80
    assert {battle.second for battle in found} == {REFERENCE}
    assert sum(battle.won for battle in found if battle.first == "good") == 36 / 2
    assert sum(battle.won for battle in found if battle.first == "weak") == 20 / 2
    lengths = [battle.style[0] for battle in found if battle.won == 0]
    assert min(lengths) > 0  # "no idea" is longer than any number
    places = rank([Battle(b.prompt, b.first, b.second, b.won) for b in found], REFERENCE,
                  resamples=100).places  # fmt: skip
    assert [place.player for place in places] == [REFERENCE, "good", "weak"]
    assert places[1].strength == pytest.approx(np.log(18 / 22))
    assert places[2].strength == pytest.approx(np.log(10 / 30))


def test_only_judged_tasks_and_checkpoints_that_sat_them_have_battles(tmp_path: Path) -> None:
    found = list(stored(judged(tmp_path)))
    with pytest.raises(DataError, match="doubles is not judged"):
        of_cells(found, "doubles", ["good"])
    with pytest.raises(UnknownName, match="did you mean 'good'"):
        of_cells(found, "chat", ["goood"])
