"""Many comparisons across days: a stated budget of false alarms. Among those of one day scipy controls discoveries."""


def level_of_a_check(*, alarms_a_year: float, checks_a_year: float, most: float = 0.05) -> float:
    """Level of each check at which those of a year raise no more false alarms than the budget, on average.

    checks_a_year : of checks that share no data; one looked at again on the days between is the same one. An online
    false discovery rule would spend its wealth on the first: after 12 checks LORD++ at 5 % (Ramdas et al. 2017,
    arXiv 1710.00499) asks p < .0001, which few blocks of a training cannot tell from .001.

    >>> level_of_a_check(alarms_a_year=0.25, checks_a_year=12.5), level_of_a_check(alarms_a_year=1, checks_a_year=4)
    (0.02, 0.05)
    """
    return min(most, alarms_a_year / checks_a_year)
