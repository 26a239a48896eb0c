"""Runs in the bench's own environment, where vollib is and bq is not: answers each JSON line with one."""

import importlib.metadata
import json
import sys

from vollib.black_scholes_merton import black_scholes_merton as price
from vollib.black_scholes_merton.greeks.analytical import delta, gamma, rho, theta, vega
from vollib.black_scholes_merton.implied_volatility import implied_volatility

FIGURES = (price, delta, gamma, vega, theta, rho)


def main() -> None:
    """Tasks: `options` to keep, `greeks` or `implied` of them, and `values` to be told, outside a timing, the last."""
    options, found = [], []
    for line in sys.stdin:
        asked = json.loads(line)
        answer = None
        if asked["task"] == "options":  # flag, spot, strike, years, rate, vol, dividend yield, and the price
            options = [(tuple(option[:7]), option[7]) for option in asked["options"]]
            answer = importlib.metadata.version("vollib")
        elif asked["task"] == "greeks":
            found = [[figure(*option) for figure in FIGURES] for option, _ in options]
        elif asked["task"] == "implied":
            found = [
                implied_volatility(value, spot, strike, years, rate, dividend_yield, flag)
                for (flag, spot, strike, years, rate, _, dividend_yield), value in options
            ]
        elif asked["task"] == "values":
            answer = found
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
