//! The real controller and real agents in one thread, on a network, disks and clocks that fail as a seed says.
//!
//! The engine, the services and the agents' sessions are those of the product; what is simulated is what they stand on: turmoil's network and time,
//! proxies and other controllers that answer in the controller's place, backups that are restored, a disk that loses what was not yet written and fails now and then, programs that are scripts. After each commit the log is folded into a
//! separate state, in which every invariant must hold, and which must hold all that was told. One seed gives one trace.
//!
//! Modules import rightwards only: `scenario → paper → hosts → disk, front → world → interference → chance, network, storage`.

mod chance;
mod disk;
mod front;
mod hosts;
mod interference;
mod network;
mod paper;
mod scenario;
mod storage;
mod world;

pub use scenario::{Report, run};
pub use sweep_agent::simulation::Weakness;
pub use sweep_controller::engine::Mutation;
