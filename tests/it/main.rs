//! The end-to-end tests of sweep and the guards of its architecture, in one binary.

mod architecture;
