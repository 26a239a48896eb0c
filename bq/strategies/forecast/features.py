"""Names: the alpha factors, their families, and the feature sets made of them. How each is computed: factors."""

from bq.strategies.events import FeatureSet

FACTORS = (  # in the order in which the kernel fills them
    "volume_price_corr_3d",
    "rsi_14",
    "reversal_3d",
    "reversal_5d",
    "momentum_10d",
    "liquid_momentum_10d",
    "sharpe_momentum_5d",
    "price_ma20_deviation",
    "dollar_vol_20",
    "trend_r2_20",
    "ret_skew_20d",
    "near_52w_high",
    "atr_pct_14",
    "amihud_20",
    "momentum_21",
    "momentum_63",
    "momentum_126",
    "momentum_252",
    "volatility_20",
    "volatility_60",
    "volume_ratio_20",
    "volume_ratio_60",
    "market_beta_60",
)

FAMILIES = {
    "reversal": ("reversal_3d", "reversal_5d"),
    "volatility": ("atr_pct_14", "volatility_20", "volatility_60"),
    "volume": ("dollar_vol_20", "volume_ratio_20", "volume_ratio_60"),
    "momentum": (
        *("momentum_10d", "liquid_momentum_10d", "sharpe_momentum_5d", "near_52w_high"),
        *("momentum_21", "momentum_63", "momentum_126", "momentum_252"),
    ),
    "technical": ("rsi_14", "price_ma20_deviation", "trend_r2_20"),
    "microstructure": ("volume_price_corr_3d", "amihud_20"),
    "other": ("ret_skew_20d", "market_beta_60"),
}
FAMILY = {factor: family for family, factors in FAMILIES.items() for factor in factors}
WITHOUT = {  # indicator: the factor whose absence it marks
    "no_volume": "dollar_vol_20",
    "no_range": "atr_pct_14",
    "short_history": "momentum_252",
}
RANKS = tuple(f"{name}_rank" for name in FACTORS)
DECAYED = tuple(f"{name}_decayed" for name in FACTORS)
LAGS = (1, 2, 5)  # of the feature set alpha_lagged; `temporal.lags` computes them
LAGGED = tuple(f"{rank}_lag{lag}" for lag in LAGS for rank in RANKS)

FEATURE_SETS = (
    FeatureSet("alpha_ranks", (*RANKS, *WITHOUT)),
    FeatureSet("alpha_decayed", (*RANKS, *DECAYED, *WITHOUT)),
    FeatureSet("alpha_lagged", (*RANKS, *DECAYED, *LAGGED, *WITHOUT)),
    FeatureSet("alpha_raw", FACTORS),
)
