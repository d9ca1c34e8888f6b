"""What pages say of values."""

import pytest

from postlude.dashboard.wording import (
    brief,
    clock_time,
    date_time,
    first_line,
    json_text,
    moment,
    number,
    percent,
    span,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (float("inf"), "–"),
        (0, "0 ms"),
        (0.00001, "< 0.1 ms"),
        (0.0004, "0.4 ms"),
        (0.0099, "9.9 ms"),
        (0.0994, "99 ms"),
        (0.34, "0.34 s"),
        (2.44, "2.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (3_600, "1 h"),
        (7_500, "2 h 5 min"),
        (86_399.9, "1 d"),
        (180_000, "2 d 2 h"),
        (-3, "0 ms"),
    ],
)
def test_a_length_of_time(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("ahead", "text"), [(0.4, "now"), (-0.4, "now"), (-59, "59 s ago"), (-3_700, "1 h ago"), (90_000, "in 1 d")]
)
def test_a_moment_by_its_distance(ahead: float, text: str) -> None:
    assert f">{text}</time>" in moment(1_000_000 + ahead, 1_000_000)


def test_a_moment_that_never_comes() -> None:
    assert moment(None, 0) == moment(float("inf"), 0) == date_time(None) == clock_time(None) == "–"


def test_moments_say_the_same_to_programs() -> None:
    assert 'datetime="1970-01-12T13:46:40.250+00:00"' in clock_time(1_000_000.25)
    assert ">13:46:40.250<" in clock_time(1_000_000.25)
    assert ">1970-01-12 13:46:40 UTC<" in date_time(1_000_000.25)


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(0, 0, "–"), (0, 7, "0 %"), (1, 300, "0.3 %"), (1, 8, "12 %"), (7, 7, "100 %")]
)
def test_a_share(part: float, whole: float, text: str) -> None:
    assert percent(part, whole) == text


def test_numbers_have_their_thousands_apart() -> None:
    assert (number(1_204_000), number(0.5), number(None)) == ("1,204,000", "0.5", "–")


def test_json_tells_its_parts_apart_and_escapes_all_of_them() -> None:
    text = json_text({"<k>": ['<s>"\\', 1.5e3, True, None]})
    assert '<span class="k">&#34;&lt;k&gt;&#34;</span>:' in text
    assert '<span class="s">&#34;&lt;s&gt;\\&#34;\\\\&#34;</span>' in text
    assert '<span class="n">1500.0</span>' in text
    assert '<span class="n">true</span>' in text
    assert "<k>" not in text


def test_json_that_is_too_long_for_a_page_is_cut() -> None:
    text = json_text("a" * 300_000)
    assert len(text) < 210_000
    assert text.endswith("characters more")


def test_a_text_is_cut_to_its_first_line_that_says_something() -> None:
    assert first_line("\n  \n  the reason\nmore") == "the reason"
    assert first_line(None) == ""
    assert brief("abcdef", 4) == "abc…"
    assert brief({"a": 1}) == '{"a": 1}'
