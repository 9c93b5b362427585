//! The lifecycle from outside: commands in, events and answers out. After every command all invariants hold, and a replay of the
//! log, as JSON, gives the same state.

mod agents;
mod asked;
mod attempts;
mod code;
mod code_versions;
mod constraints;
mod early_stop;
mod edits;
mod health;
mod late_results;
mod model;
mod offered;
mod reference;
mod repeats;
mod restore;
mod retention;
mod runs;
mod stops;
mod sweeps;
mod unread;
mod withdrawals;
mod world;
