//! The figures of `/metrics`, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::zip;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::engine::{HOLD_BUCKETS_MS, HoldCounts};
use crate::store::Totals;

pub(super) use prometheus_text::CONTENT_TYPE;

/// The counters carry no examples.
const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;

/// All figures at one moment.
#[derive(Debug)]
pub(super) struct ControllerFigures {
    pub(super) totals: Totals,
    pub(super) commits: u64,
    pub(super) queries: u64,
    pub(super) holds: HoldCounts,
    /// Answered calls by method and gRPC code.
    pub(super) calls: Vec<(&'static str, i32, u64)>,
    pub(super) started_ms: i64,
}

/// Writes all figures.
pub(super) fn text(figures: ControllerFigures) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(figures));
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_text::encode(&mut out, &registry);
    out
}

impl Collector for ControllerFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.process(encoder)?;
        self.totals(encoder)?;
        self.database(encoder)?;
        self.writer_holds(encoder)?;
        self.calls(encoder)
    }
}

impl ControllerFigures {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "The version of the controller.";
        let mut info = encoder.encode_descriptor("sweep_build", help, None, MetricType::Info)?;
        info.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let help = "When the controller started, in seconds since 1970.";
        gauge(encoder, "sweep_start_time_seconds", help)?.encode_gauge(&(self.started_ms / 1000))
    }

    fn totals(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let states = ["running", "paused", "finished", "stopped", "cancelled"];
        let mut sweeps = BTreeMap::from(states.map(|state| (state, 0_u64)));
        let counted = self.totals.sweeps.iter();
        sweeps.extend(counted.map(|(state, count)| (state.as_str(), *count)));
        let mut family = gauge(encoder, "sweep_sweeps", "Sweeps by state.")?;
        for (state, count) in sweeps {
            labelled(&mut family, &[("state", state)])?.encode_gauge(&count)?;
        }
        let help = "Runs of all sweeps by state; assigned runs count as running.";
        let mut family = gauge(encoder, "sweep_runs", help)?;
        let runs = |state: &str| self.totals.runs.get(state).copied().unwrap_or(0);
        for (state, count) in [
            ("queued", runs("queued")),
            ("running", runs("assigned") + runs("running")),
            ("finished", runs("finished")),
            ("stopped", runs("stopped")),
            ("failed", runs("failed")),
            ("cancelled", runs("cancelled")),
        ] {
            labelled(&mut family, &[("state", state)])?.encode_gauge(&count)?;
        }
        let help = "Agents whose lease has not ended.";
        gauge(encoder, "sweep_agents", help)?.encode_gauge(&self.totals.agents)?;
        let help = "Attempts that all agents together can execute at once.";
        gauge(encoder, "sweep_agent_slots", help)?.encode_gauge(&self.totals.slots)
    }

    fn database(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Commits since the controller started.";
        counter(encoder, "sweep_commits", help)?.encode_counter(&self.commits, NO_EXEMPLAR)?;
        let help = "Reads of the database for pages and calls since the controller started.";
        counter(encoder, "sweep_queries", help)?.encode_counter(&self.queries, NO_EXEMPLAR)
    }

    fn writer_holds(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = "sweep_writer_hold_seconds";
        let help = "How long requests held the writer, while all others waited.";
        let bounds = HOLD_BUCKETS_MS.iter().map(|bound| *bound as f64 / 1e3);
        let buckets: Vec<_> = zip(bounds, self.holds.buckets).collect();
        let count = self.holds.buckets.iter().sum();
        encoder
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(self.holds.seconds, count, &buckets, None)
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls answered since the controller started, by method and gRPC code.";
        let mut family = counter(encoder, "sweep_rpcs", help)?;
        for (method, code, count) in &self.calls {
            let code = format!("{:?}", Code::from_i32(*code));
            let labels = [("method", *method), ("code", code.as_str())];
            labelled(&mut family, &labels)?.encode_counter(count, NO_EXEMPLAR)?;
        }
        Ok(())
    }
}

fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

/// Names a counter; the format adds `_total`.
fn counter<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn labelled<'a>(
    family: &'a mut MetricEncoder<'_>,
    labels: &'a impl EncodeLabelSet,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    family.encode_family(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_totals_and_labels_are_quoted() {
        let totals = Totals {
            sweeps: BTreeMap::from([("odd\"\n".to_owned(), 2)]),
            runs: BTreeMap::from([
                ("queued".to_owned(), 2),
                ("failed".to_owned(), 4),
                ("assigned".to_owned(), 1),
                ("running".to_owned(), 2),
            ]),
            agents: 1,
            slots: 8,
        };
        let mut holds = HoldCounts::default();
        (holds.buckets[0], holds.buckets[8], holds.buckets[9]) = (2, 1, 1);
        holds.seconds = 6.5;
        let text = text(ControllerFigures {
            totals,
            commits: 7,
            queries: 9,
            holds,
            calls: vec![("/sweep.v1.X/Y", 16, 3)],
            started_ms: 5000,
        });
        for line in [
            "# TYPE sweep_build_info gauge",
            concat!(
                "sweep_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "sweep_sweeps{state=\"odd\\\"\\n\"} 2",
            "sweep_sweeps{state=\"running\"} 0",
            "sweep_runs{state=\"queued\"} 2",
            "sweep_runs{state=\"failed\"} 4",
            "sweep_runs{state=\"running\"} 3",
            "sweep_agent_slots 8",
            "# TYPE sweep_writer_hold_seconds histogram",
            "sweep_writer_hold_seconds_bucket{le=\"0.1\"} 2",
            "sweep_writer_hold_seconds_bucket{le=\"1\"} 3",
            "sweep_writer_hold_seconds_bucket{le=\"+Inf\"} 4",
            "sweep_writer_hold_seconds_sum 6.5",
            "sweep_writer_hold_seconds_count 4",
            "# HELP sweep_commits_total Commits since the controller started.",
            "# TYPE sweep_commits_total counter",
            "sweep_commits_total 7",
            "sweep_queries_total 9",
            "sweep_start_time_seconds 5",
            "sweep_rpcs_total{method=\"/sweep.v1.X/Y\",code=\"Unauthenticated\"} 3",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no line {line} in\n{text}"
            );
        }
    }
}
