import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq.workbench.sanitize import TAGS, clean


@pytest.mark.parametrize(
    ("source", "cleaned", "active"),
    [
        pytest.param("<td class='n'>a&lt;b</td>", '<td class="n">a&lt;b</td>', False, id="kept"),
        pytest.param("<script>x()</script>", "&lt;script&gt;x()&lt;/script&gt;", True, id="script"),
        pytest.param("<img src=x onerror=x()>", "<img>", True, id="handler"),
        pytest.param("<a href='java\nscript:x()'>y</a>", "<a>y</a>", True, id="script address"),
        pytest.param("<img src='https://host/a.png'>", "<img>", False, id="remote image"),
        pytest.param("<a href='https://host'>y</a>", '<a href="https://host">y</a>', False, id="link"),
        pytest.param("<style>@import url(x)</style>a", "a", False, id="style"),
        pytest.param("<iframe src=x></iframe>", "&lt;iframe src=x&gt;&lt;/iframe&gt;", False, id="frame"),
        pytest.param("</div><p>a<b>c</p>", "<p>a<b>c</b></p>", False, id="unbalanced"),
        pytest.param("<p title='\"><script>'>", '<p title="&quot;&gt;&lt;script&gt;"></p>', False, id="attribute"),
    ],
)
def test_only_the_allow_list_stays_markup(source, cleaned, active):
    assert clean(source) == (cleaned, active)


@given(
    st.lists(
        st.sampled_from(["<", ">", "script", "style", "/", "!--", "-->", "img", " ", "src=", "'", '"', "p", "onx="])
    )
)
def test_cleaning_a_second_time_changes_nothing_and_finds_nothing(parts):
    once, _ = clean("".join(parts))
    assert clean(once) == (once, False)
    assert all(part.split(">")[0].split()[0].strip("/") in TAGS for part in once.split("<")[1:])
