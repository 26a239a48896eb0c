"""Views for outsiders, and an index on the session of a scan.

A view holds on to the tables that it reads: a later script that makes one of them anew drops the view first. Their
columns are promised in docs/records.md.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

COUNTING = "select min(scan_id) from scans where not late group by namespace, session"
NEWEST = "select max(revision) from outcomes n where n.namespace = o.namespace and n.event_id = o.event_id"
MONDAY = {  # on or before a day
    "sqlite": "date({}, '-6 days', 'weekday 1')",
    "postgresql": "cast(date_trunc('week', {}) as date)",
}

DECISIONS = f"""
create view v_decisions as
select s.scan_id, s.namespace, d.session, s.decided_utc, s.late,
       case when s.scan_id in ({COUNTING}) then 1 else 0 end as counts,
       d.event_id, d.symbol, d.t0, d.t1_due, d.variant, d.tier, d.model_id, d.track, d.predicted_class,
       d.probabilities, d.expected, d.confidence, d.score, d.weight, d.rank, d.should_trade, d.in_sample,
       d.outside_support, d.why_not_champion, d.why_not_second, s.champion_id, s.second_id, s.data_hash, s.code_digest,
       o.t1, o.outcome, o.label, o.source, o.revision
from decisions d
join scans s on s.scan_id = d.scan_id
left join outcomes o on o.namespace = s.namespace and o.event_id = d.event_id and o.revision = ({NEWEST})
"""

OUTCOMES = f"""
create view v_outcomes as
select o.namespace, o.event_id, o.revision, case when o.revision = ({NEWEST}) then 1 else 0 end as newest,
       o.t1, o.outcome, o.label, o.source, o.data_hash, o.recorded_utc
from outcomes o
"""

WEEKLY = """
create view v_performance_weekly as
with matured as (
    select namespace, {monday} as week, tier, model_id, track, label, predicted_class, expected, outcome,
           case when should_trade then outcome end as traded
    from v_decisions where counts = 1 and outcome is not null
), labels as (
    select namespace, week, tier, model_id, track, max(n) as most from (
        select namespace, week, tier, model_id, track, count(*) as n from matured
        where predicted_class is not null and label is not null
        group by namespace, week, tier, model_id, track, label
    ) as shares group by namespace, week, tier, model_id, track
), weeks as (
    select namespace, week, tier, model_id, track,
           count(*) as matured,
           avg(outcome) as mean_outcome,
           avg(case when outcome > 0 then 1.0 else 0.0 end) as win_rate,
           count(traded) as traded,
           avg(traded) as traded_mean_outcome,
           avg(case when traded > 0 then 1.0 when traded is not null then 0.0 end) as traded_win_rate,
           count(case when predicted_class is not null and label is not null then 1 end) as classified,
           avg(case when predicted_class = label then 1.0 when predicted_class <> label then 0.0 end) as accuracy,
           avg(case when predicted_class is not null then expected end) as mean_expected,
           avg(case when predicted_class is not null and expected is not null then outcome - expected end) as bias
    from matured group by namespace, week, tier, model_id, track
)
select w.namespace, w.week, w.tier, w.model_id, w.track, w.matured, w.mean_outcome, w.win_rate, w.traded,
       w.traded_mean_outcome, w.traded_win_rate, w.classified, w.accuracy,
       1.0 * l.most / nullif(w.classified, 0) as majority, w.mean_expected, w.bias
from weeks w
left join labels l on l.namespace = w.namespace and l.week = w.week and l.tier = w.tier
     and coalesce(l.model_id, '') = coalesce(w.model_id, '') and coalesce(l.track, '') = coalesce(w.track, '')
"""

ALERTS = """
create view v_alerts as
select id, namespace, opened_utc, closed_utc, case when closed_utc is null then 1 else 0 end as is_open, kind, severity,
       statement, check_ids, acknowledged_utc
from alerts
"""


def upgrade() -> None:
    """Make the views and the index."""
    op.create_index("ix_scans_session", "scans", ["session"])
    monday = MONDAY[op.get_bind().dialect.name].format("session")
    for view in (DECISIONS, OUTCOMES, WEEKLY.format(monday=monday), ALERTS):
        op.execute(view)
