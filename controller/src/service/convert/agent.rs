//! Agents.

use sweep_proto::v1;

use crate::store::AgentRow;

/// An agent as the wire has it.
pub(in crate::service) fn agent(row: AgentRow) -> v1::Agent {
    v1::Agent {
        id: row.id,
        sweep_id: row.sweep,
        host: row.host,
        slots: row.slots,
        running: row.running,
        alive: row.alive,
        version: row.version,
        seen_ms: row.seen_ms,
        health: row.health,
        reason: row.reason,
        succeeded: row.succeeded,
        failed: row.failed,
    }
}
