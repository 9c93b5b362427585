//! The time of an attempt.

use std::time::Duration;

/// A point on the agent's monotonic clock: the time since the attempt began.
pub(crate) type Now = Duration;
