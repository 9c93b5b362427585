//! Evenly spaced parts of what is too much to show.

/// Keeps evenly spaced ones of a sequence whose length is not known before its end.
///
/// Of each `stride` it keeps the first; when it has twice as many as half the limit, the stride doubles and every second one goes.
#[derive(Debug)]
pub(super) struct Thinned<T> {
    kept: Vec<(u64, T)>,
    last: Option<(u64, T)>,
    stride: u64,
    count: u64,
    limit: usize,
}

impl<T: Copy> Thinned<T> {
    /// Keeps at most `limit`, which is at least 4.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            last: None,
            stride: 1,
            count: 0,
            limit: limit.max(4),
        }
    }

    pub(super) fn push(&mut self, item: T) {
        let index = self.count;
        self.count += 1;
        self.last = Some((index, item));
        if !index.is_multiple_of(self.stride) {
            return;
        }
        // One place is for the last item.
        if self.kept.len() + 1 == self.limit {
            self.stride *= 2;
            let stride = self.stride;
            self.kept.retain(|(index, _)| index.is_multiple_of(stride));
            if !index.is_multiple_of(stride) {
                return;
            }
        }
        self.kept.push((index, item));
    }

    /// Returns how many there were, and those that are kept with their places: the first and the last always.
    pub(super) fn finish(mut self) -> (u64, Vec<(u64, T)>) {
        let has_last = self.kept.last().map(|(index, _)| *index)
            == self.last.as_ref().map(|(index, _)| *index);
        self.kept.extend(self.last.filter(|_| !has_last));
        (self.count, self.kept)
    }
}

/// Returns at most `limit` evenly spaced numbers from 1 to `last`, both included.
pub(super) fn evenly(last: u64, limit: usize) -> impl Iterator<Item = u64> {
    let count = last.min(limit as u64);
    (0..count).map(move |index| {
        if count < 2 {
            last
        } else {
            1 + index * (last - 1) / (count - 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_kept_whole() {
        let mut thinned = Thinned::new(10);
        (0..9).for_each(|item| thinned.push(item));
        assert_eq!(
            thinned.finish(),
            (9, (0..9).map(|item| (item, item)).collect())
        );
    }

    #[test]
    fn of_what_is_long_evenly_spaced_ones_are_kept_and_both_ends() {
        for count in [10_u64, 11, 1_000, 999_999, 1_000_000] {
            let mut thinned = Thinned::new(10);
            (0..count).for_each(|item| thinned.push(item));
            let (total, kept) = thinned.finish();
            let places: Vec<_> = kept.iter().map(|(index, _)| *index).collect();
            assert_eq!(
                (total, places[0], *places.last().unwrap()),
                (count, 0, count - 1)
            );
            assert!((5..=10).contains(&places.len()), "{places:?}");
            let gaps: Vec<_> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (even, rest) = gaps.split_at(gaps.len() - 1);
            assert!(
                even.iter().all(|gap| *gap == gaps[0]) && rest[0] <= gaps[0],
                "{places:?}"
            );
        }
    }

    #[test]
    fn numbers_are_evenly_spaced() {
        assert_eq!(evenly(0, 5).collect::<Vec<_>>(), [0; 0]);
        assert_eq!(evenly(3, 5).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(evenly(101, 5).collect::<Vec<_>>(), [1, 26, 51, 76, 101]);
        assert_eq!(evenly(101, 1).collect::<Vec<_>>(), [101]);
    }
}
