//! The lifecycle of sweeps, runs and attempts.
//!
//! A pure crate: [`decide`](decide::decide) turns a command into events without changing anything, [`evolve`](evolve::evolve)
//! folds events into the [`State`](state::State) without deciding anything, and a replay is that fold. Time, ids and
//! suggestions come in as arguments. It never calls `search::suggest`.
//!
//! Modules import rightwards only: `decide → evolve → invariants, revise → inits → observe → endings → command, retry, versions →
//! event, lease, quarantine, repeats → state → spec`.

pub mod command;
pub mod decide;
mod endings;
pub mod event;
pub mod evolve;
pub mod inits;
pub mod invariants;
pub mod lease;
pub mod observe;
pub mod quarantine;
pub mod repeats;
pub mod retry;
mod revise;
pub mod spec;
pub mod state;
pub mod versions;
