//! Long lists, sent as a stream of pages that are read one after the other as the caller takes them.

use prost::Message;
use sweep_lifecycle::state::{AttemptRef, RunState, SweepId};
use sweep_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Services, convert};
use crate::store::RunRange;

/// Pages of a long list.
pub(super) type Pages<T> = ReceiverStream<Result<T, Status>>;

const RUNS_PER_QUERY: usize = 200;
const POINTS_PER_QUERY: usize = 5000;
/// Pages are cut at this size, so that even large configurations stay far below the message limit.
const PAGE_BYTES: usize = 1 << 20;

/// All runs of a sweep in one of these states, in the order of their numbers.
pub(super) fn runs(
    services: Services,
    sweep: SweepId,
    states: Vec<RunState>,
) -> Pages<v1::ListRunsResponse> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(status) = send_runs(&services, &sweep, states, &sender).await {
            // The caller may have gone.
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn send_runs(
    services: &Services,
    sweep: &SweepId,
    states: Vec<RunState>,
    sender: &mpsc::Sender<Result<v1::ListRunsResponse, Status>>,
) -> Result<(), Status> {
    let mut after = 0;
    loop {
        let (id, wanted) = (sweep.clone(), states.clone());
        let limit = RUNS_PER_QUERY;
        let range = RunRange { after, limit };
        let rows = services
            .read(move |query| query.runs(&id, &wanted, range))
            .await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.run;
        let is_last = rows.len() < RUNS_PER_QUERY;
        for runs in cut(rows.into_iter().map(convert::run)) {
            if sender
                .send(Ok(v1::ListRunsResponse { runs }))
                .await
                .is_err()
            {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Cuts a list into pages of about [`PAGE_BYTES`], each with at least one entry.
fn cut<T: Message>(entries: impl Iterator<Item = T>) -> Vec<Vec<T>> {
    let mut pages: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let length = entry.encoded_len();
        match pages.last_mut() {
            Some(page) if bytes + length <= PAGE_BYTES => page.push(entry),
            _ => {
                pages.push(vec![entry]);
                bytes = 0;
            }
        }
        bytes += length;
    }
    pages
}

/// All metric points of an attempt in the order of their arrival.
pub(super) fn metrics(services: Services, attempt: AttemptRef) -> Pages<v1::GetMetricsResponse> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(status) = send_metrics(&services, &attempt, &sender).await {
            // The caller may have gone.
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn send_metrics(
    services: &Services,
    attempt: &AttemptRef,
    sender: &mpsc::Sender<Result<v1::GetMetricsResponse, Status>>,
) -> Result<(), Status> {
    let mut from = 0;
    loop {
        let id = attempt.clone();
        let rows = services
            .read(move |query| query.metrics(&id, from, POINTS_PER_QUERY))
            .await?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        from = last + 1;
        let is_last = rows.len() < POINTS_PER_QUERY;
        for points in cut(rows
            .into_iter()
            .map(|(_, point)| convert::metric_point(point)))
        {
            if sender
                .send(Ok(v1::GetMetricsResponse { points }))
                .await
                .is_err()
            {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: usize) -> v1::Run {
        v1::Run {
            params_json: "x".repeat(bytes),
            ..v1::Run::default()
        }
    }

    #[test]
    fn pages_are_cut_by_size_and_nothing_is_lost() {
        let sizes = [10, PAGE_BYTES * 3, 10, 10, PAGE_BYTES - 5, 10];
        let pages = cut(sizes.into_iter().map(run));
        let lengths: Vec<Vec<usize>> = pages
            .iter()
            .map(|page| page.iter().map(|run| run.params_json.len()).collect())
            .collect();
        assert_eq!(
            lengths,
            [
                vec![10],
                vec![PAGE_BYTES * 3],
                vec![10, 10],
                vec![PAGE_BYTES - 5],
                vec![10]
            ]
        );
        assert!(cut(std::iter::empty::<v1::Run>()).is_empty());
    }
}
