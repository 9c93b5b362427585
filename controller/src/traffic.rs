//! Counts calls by method and result, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Calls answered so far, by method and gRPC code. Methods are those of the wire alone, so that no caller can make it grow.
#[derive(Debug, Default)]
pub struct Traffic {
    calls: Mutex<BTreeMap<(&'static str, i32), u64>>,
}

impl Traffic {
    /// Counts a call. A method that is not on the wire is not counted.
    pub fn count(&self, path: &str, code: i32) {
        let Some(method) = sweep_proto::METHODS
            .iter()
            .copied()
            .find(|method| *method == path)
        else {
            return;
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((method, code)).or_default() += 1;
    }

    /// Returns method, code and number, in order.
    pub fn calls(&self) -> Vec<(&'static str, i32, u64)> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .iter()
            .map(|((method, code), number)| (*method, *code, *number))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_of_the_wire_are_counted() {
        let traffic = Traffic::default();
        traffic.count("/sweep.v1.SweepService/GetStatus", 0);
        traffic.count("/sweep.v1.SweepService/GetStatus", 0);
        traffic.count("/sweep.v1.SweepService/GetStatus\nforged 1", 0);
        traffic.count("/", 0);
        assert_eq!(
            traffic.calls(),
            [("/sweep.v1.SweepService/GetStatus", 0, 2)]
        );
    }
}
