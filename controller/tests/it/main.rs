//! The controller as its callers see it: a real server, a real client, a real database.

mod access;
mod bad_input;
mod create;
mod fixture;
mod formats;
mod house;
mod life;
mod offered;
mod page;
mod refusals;
mod restart;
mod streams;
mod wire;
