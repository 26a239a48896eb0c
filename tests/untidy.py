"""Numbers that no reader should meet, found in the text of a page."""

import re

UNTIDY = re.compile(
    r"(?<![\w.])(?:"
    r"[+-]?(?:nan|inf)(?!\w)"  # no number
    r"|[+-]?\d+(?:\.\d+)?e[+-]\d+(?!\w)"  # an exponent; ids have no sign in them
    r"|[+-]0(?:\.0+)?(?:%|(?![\w%-]|[.,]\d))"  # a zero with a sign
    r"|[+-]?\d+\.\d{10,}"  # every digit there is
    r")"
    r"|\d[%)\]]?\. \d+",  # a sentence that begins with a digit, after one that ends in one: read as one number
    re.IGNORECASE,
)


def untidy(text: str) -> list[str]:
    """What is found.

    >>> untidy("must be above 0. 4 of 13 do not hold; must be above 0. Of 13 do 4 not hold")
    ['0. 4']
    >>> untidy("a gain of +nan, at most 1e-05, -0% and +0.000; p = 0.30000000000000004, from -0.5 to 10-03 and 3-0-1")
    ['+nan', '1e-05', '-0%', '+0.000', '0.30000000000000004']
    """
    return UNTIDY.findall(text)
