"""How fast historical data may be asked for: 60 in ten minutes, 5 of a contract in two seconds, none twice in 15."""

from collections import deque
from typing import NamedTuple

TEN_MINUTES, IN_TEN_MINUTES = 600.0, 60
OF_A_CONTRACT_SECONDS, OF_A_CONTRACT = 2.0, 5
IDENTICAL_SECONDS = 15.0


class _Sent(NamedTuple):
    at: float
    contract: str
    request: str
    weight: int


class Pace:
    """Requests that were sent, and how long the next one has to wait.

    >>> pace = Pace()
    >>> pace.sent("AAPL", "1 Y to 2019", now=0.0)
    >>> pace.wait("AAPL", "1 Y to 2019", now=1.0), pace.wait("AAPL", "1 Y to 2020", now=1.0)
    (14.0, 0.0)
    """

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()

    def sent(self, contract: str, request: str, *, now: float, weight: int = 1) -> None:
        """Note one. weight : 2 for bid and ask at once, which count double."""
        self._sent.append(_Sent(now, contract, request, weight))

    def wait(self, contract: str, request: str, *, now: float, weight: int = 1) -> float:
        """Seconds until this one may be sent."""
        while self._sent and now - self._sent[0].at >= TEN_MINUTES:
            self._sent.popleft()
        same = [one.at for one in self._sent if (one.contract, one.request) == (contract, request)]
        own = [one.at for one in self._sent if one.contract == contract][-OF_A_CONTRACT:]
        waits = [0.0, self._of_all(now, weight)]
        waits += [same[-1] + IDENTICAL_SECONDS - now] if same else []
        waits += [own[0] + OF_A_CONTRACT_SECONDS - now] if len(own) == OF_A_CONTRACT else []
        return max(waits)

    def _of_all(self, now: float, weight: int) -> float:
        """Until enough of the last ten minutes' requests are older than that."""
        total = weight + sum(one.weight for one in self._sent)
        for one in self._sent:
            if total <= IN_TEN_MINUTES:
                return 0.0
            total -= one.weight
            left = one.at + TEN_MINUTES - now
            if total <= IN_TEN_MINUTES:
                return left
        return 0.0


def seconds_for(requests: int) -> float:
    """About how long so many take, when none was sent before.

    >>> seconds_for(60), seconds_for(61), seconds_for(600)
    (60.0, 661.0, 6000.0)
    """
    return requests + TEN_MINUTES * ((requests - 1) // IN_TEN_MINUTES) if requests else 0.0
