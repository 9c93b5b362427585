//! Versions of the code on their way to the controller.

use sweep_code::Source;
use sweep_proto::v1;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Versions on their way to the controller, one after the other: many agents send the same, and
/// each packs it with processes of git.
#[derive(Default)]
pub(super) struct Sending {
    pub(super) queue: Option<mpsc::Sender<Telling>>,
    pub(super) worker: JoinSet<()>,
}

/// A version that will be described to the controller.
pub(super) struct Telling {
    pub(super) request: v1::DescribeCodeRequest,
    /// Where its code comes from.
    pub(super) source: Option<Source>,
}
