"""Periods of a year where no calendar is at hand; `bq.market.calendars.periods_per_year` has those of a calendar."""

TRADING_DAYS = 252  # sessions of an exchange
DAYS_A_MONTH = 30.44  # of a calendar
DAYS_A_YEAR = 365.25
