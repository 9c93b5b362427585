//! The end-to-end tests of sweep and the guards of its architecture, in one binary.

mod architecture;
mod asked;
mod background;
mod black_hole;
mod browser;
mod cancel;
mod capture;
mod code;
mod code_change;
mod digits;
mod disk;
mod edit;
mod external;
mod grid;
mod harness;
mod insight;
mod keeping;
mod kills;
mod mistakes;
mod network;
mod outcome;
mod pin;
mod reporting;
mod restart;
mod token;
mod watching;
