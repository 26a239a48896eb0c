"""Terms of a page lead to what they mean."""

import re

import pytest

from bq.workbench import glossary


def test_every_entry_has_a_meaning_and_stands_in_the_order_of_the_alphabet():
    found = glossary.entries()
    assert len(found) > 30
    assert all(text.endswith(".") for text in found.values())
    assert list(found) == sorted(found, key=lambda term: term.lower().replace("-", ""))


def test_the_first_mention_of_a_term_is_linked_and_the_next_is_not():
    link = glossary.Linker()
    first, second = link("Rank IC of the newest window"), link("a rank IC above 0.02")
    assert first.count("<button ") == 2
    assert 'popovertarget="term-rank-ic"' in first and 'popovertarget="term-newest-window"' in first
    assert "<button " not in second
    assert [term for _, term, _ in link.lines] == ["newest window", "rank IC"]


@pytest.mark.parametrize("text", ["eventually", "pre-event-driven", "barren"], ids=str)
def test_a_part_of_another_word_is_no_term(text):
    assert "<button " not in glossary.Linker()(text)


def test_markup_in_a_text_stays_text():
    linked = glossary.Linker()("<script>alert(1)</script> champion")
    assert "<script>" not in linked and "&lt;script&gt;" in linked
    assert re.search(r'class="term" popovertarget="term-champion" title="[^"<]+">champion</button>', linked)
