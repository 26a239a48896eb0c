"""Tables of butterflies that other systems made: their names and units."""

from bq.strategies.layout import Layout, Unit

FRACTION = "a fraction of the risk: 0.25 for 25%"
VOLATILITY = "an annual volatility as a decimal: 0.25 for 25%"
SHARE = "a share from 0 to 1: 0.25 for 25%"

LAYOUT = Layout(
    names={
        "outcome": ("roi", "actualroi", "realizedroi", "realisedroi", "netroi", "roinet"),
        "score": ("totalscore", "rulescore", "butterflyscore"),
        "structure": ("structuretype", "butterflytype", "strategytype", "type"),
        "dominant_period_days": ("dominantperiod",),
        "predicted_vol": ("garchvol", "garchvolatility", "predictedvolatility", "forecastvol"),
        "current_iv": ("iv", "impliedvol", "impliedvolatility", "atmiv"),
        "vol_mispricing": ("volatilitymispricing",),
        "prob_profit": ("probabilityofprofit", "probofprofit"),
        "skew_estimate": ("skew",),
        "vol_concentration": ("volumeconcentration",),
    },
    units={
        "outcome": Unit(-1.0, 100.0, (0.005, 5.0), FRACTION),  # nobody loses more than the risk
        "current_iv": Unit(0.0, 5.0, (0.03, 2.0), VOLATILITY),
        "predicted_vol": Unit(0.0, 5.0, (0.03, 2.0), VOLATILITY),
        "iv_percentile": Unit(0.0, 1.0, (0.02, 1.0), SHARE),
        "prob_profit": Unit(0.0, 1.0, (0.02, 1.0), SHARE),
        "period_strength": Unit(0.0, 1.0, (0.0, 1.0), SHARE),
        "momentum_7d": Unit(-1.0, 10.0, (0.0, 0.5), "a return: 0.02 for 2%"),
    },
    positive=("forecast_price", "current_iv", "predicted_vol", "dominant_period_days", "max_loss", "dte_factor"),
    texts={"structure": ("CALL", "PUT", "IRON")},
    later=("debit", "risk", "in_zone"),  # of the entry at the next session, and of the exit
)
