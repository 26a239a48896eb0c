"""Order states over random histories: what may follow what, and what never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq.trading.states import LOOKS, Execution, Note, Said, State, exec_id, standing

ASKED = 10
SAID = st.sampled_from([one for one in Said if one is not Said.LAPSED])
NOTE = st.builds(Note, SAID, st.sampled_from([None, 1, 2]))
FILL = st.builds(
    Execution,
    st.sampled_from([f"e{n}" for n in range(5)]),
    st.integers(1, 3),
    st.just(2),
    st.sampled_from([None, 1, 2]),
)
STEPS = st.lists(st.one_of(NOTE, FILL), max_size=30)


def histories(steps):
    """The notes and executions that were known after each step."""
    for end in range(len(steps) + 1):
        known = steps[:end]
        yield [one for one in known if isinstance(one, Note)], [one for one in known if isinstance(one, Execution)]


@given(STEPS)
def test_filled_never_falls_and_never_counts_an_execution_twice(steps):
    filled = [standing(ASKED, *known).filled for known in histories(steps)]
    assert filled == sorted(filled)
    assert filled[-1] == 2 * len({one.base for one in steps if isinstance(one, Execution)})


@given(STEPS)
def test_filled_comes_from_executions_alone(steps):
    *_, (notes, _) = histories(steps)
    assert standing(ASKED, notes, []).filled == 0
    assert standing(ASKED, notes, []).state != State.FILLED


@given(STEPS, st.integers(1, 20))
def test_calls_without_an_answer_never_end_an_order_or_free_it_to_be_sent_again(steps, lost):
    *_, (notes, fills) = histories(steps)
    before = standing(ASKED, notes, fills)
    after = standing(ASKED, [*notes, *[Note(Said.NO_ANSWER)] * lost], fills)
    assert after.state == (State.FILLED if before.state == State.FILLED else State.UNKNOWN)
    assert not after.may_be_sent


@given(STEPS)
def test_an_order_is_free_to_be_sent_only_unsent_or_after_looks_in_a_row_that_did_not_show_it(steps):
    for notes, fills in histories(steps):
        found = standing(ASKED, notes, fills)
        if found.may_be_sent:
            said = [one.said for one in notes]
            neutral = {Said.ABSENT, Said.REPRICED, Said.CANCELLING, Said.CLOSED}
            assert not found.filled
            assert set(said) <= neutral or found.absent >= LOOKS or said.count(Said.ABSENT) >= LOOKS


@given(STEPS)
def test_two_numbers_of_the_broker_are_one_order(steps):
    notes, fills = [], []
    *_, (notes, fills) = histories(steps)
    one = standing(ASKED, [note._replace(perm_id=1) for note in notes], [fill._replace(perm_id=1) for fill in fills])
    both = standing(ASKED, notes, fills)
    assert both[:3] == one[:3]
    assert both.perm_ids == {one.perm_id for one in notes if one.perm_id} | {
        fill.perm_id for fill in fills if fill.perm_id
    }


@given(STEPS)
def test_a_fill_after_the_cancellation_counts(steps):
    *_, (notes, fills) = histories(steps)
    before = standing(ASKED, [*notes, Note(Said.CANCELLED)], fills)
    after = standing(ASKED, [*notes, Note(Said.CANCELLED)], [*fills, Execution("late", 1, 2)])
    assert after.filled == before.filled + 2


CASES = {  # notes, executions: (quantity), state, filled
    "nothing": ([], [], State.INTENDED, 0),
    "killed-while-sending": ([Said.SENDING], [], State.UNKNOWN, 0),
    "answered": ([Said.SENDING, Said.ACCEPTED], [], State.SENT, 0),
    "one-clean-look": ([Said.SENDING, Said.NO_ANSWER, Said.ABSENT], [], State.UNKNOWN, 0),
    "two-clean-looks": ([Said.SENDING, Said.NO_ANSWER, Said.ABSENT, Said.ABSENT], [], State.INTENDED, 0),
    "looks-apart": ([Said.SENDING, Said.ABSENT, Said.NO_ANSWER, Said.ABSENT], [], State.UNKNOWN, 0),
    "filled-said-without-executions": ([Said.SENDING, Said.FILLED], [], State.WORKING, 0),
    "filled-in-part": ([Said.SENDING, Said.WORKING], [3], State.PARTLY_FILLED, 3),
    "cancelled-in-part": ([Said.SENDING, Said.WORKING, Said.CANCELLED], [3], State.CANCELLED, 3),
    "filled-after-cancelled": ([Said.SENDING, Said.CANCELLED], [3, 7], State.FILLED, 10),
    "working-after-cancelled": ([Said.SENDING, Said.CANCELLED, Said.WORKING], [], State.WORKING, 0),
    "rejected": ([Said.SENDING, Said.REJECTED], [], State.REJECTED, 0),
    "filled-in-part-and-not-there": ([Said.SENDING, Said.NO_ANSWER, Said.ABSENT, Said.ABSENT], [4], State.CANCELLED, 4),
    "executions-of-an-order-not-seen": ([Said.SENDING, Said.NO_ANSWER], [4], State.UNKNOWN, 4),
}


@pytest.mark.parametrize(("said", "fills", "state", "filled"), CASES.values(), ids=CASES)
def test_an_order_stands_as_its_history_says(said, fills, state, filled):
    executions = [Execution(f"e{number}", 1, quantity) for number, quantity in enumerate(fills)]
    found = standing(ASKED, [Note(one) for one in said], executions)
    assert (found.state, found.filled, found.remaining) == (state, filled, ASKED - filled)


@pytest.mark.parametrize(
    "fills",
    [
        pytest.param([Execution("a", 1, 11)], id="more-than-asked"),
        pytest.param([Execution("a", 1, -2)], id="against-its-side"),
        pytest.param([Execution("a", 1, 4), Execution("a", 2, 3)], id="corrected-to-fewer"),
    ],
)
def test_executions_that_do_not_fit_contradict(fills):
    assert standing(ASKED, [Note(Said.SENDING)], fills).contradictory
    assert not standing(ASKED, [Note(Said.SENDING)], [Execution("a", 1, 4), Execution("a", 2, 4)]).contradictory


def test_a_correction_has_the_base_of_what_it_corrects():
    assert exec_id("00018037.62a7.01.01")[0] == exec_id("00018037.62a7.01.02")[0]
    assert [exec_id(f"x.{n:02d}")[1] for n in (1, 2, 11)] == [1, 2, 11]
