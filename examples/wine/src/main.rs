//! Trains a classifier on the UCI wine-quality data.

fn main() {}
