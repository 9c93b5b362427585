//! The controller: holds the state of every sweep, hands out runs and records their outcomes.
//!
//! ```text
//! service ──command──▶ engine ──decide, evolve──▶ State
//!    │                   │  ▲
//!    │                   │  └── planner (suggestions), reaper (ended leases)
//!    │                   ▼
//!    └──queries──▶    store  ◀──queries── web
//! ```
//!
//! One writer: the engine is the only caller of `decide`, `evolve` and `Store::append`. Modules import rightwards only:
//! `serve → service, web → planner, reaper, login → engine, reader, token, early_stop_note, target_note → store, traffic`.

mod early_stop_note;
pub mod engine;
pub mod login;
pub mod planner;
pub mod reader;
pub mod reaper;
pub mod serve;
pub mod service;
pub mod store;
mod target_note;
pub mod token;
mod traffic;
pub mod web;
