//! A scrambled Sobol sequence, by index.

/// The sequence has no more points than this; later ones come from another scramble.
const POINTS_MAX: u64 = 1 << 16;
/// The generator knows this many dimensions; later ones come from another scramble.
const DIMENSIONS_MAX: u32 = 256;

/// Keeps the candidates of a run apart from the start-up points, which are the same sequence under
/// the sweep's own seed.
const CANDIDATES_SEED: u64 = 0x5eed_0f5b_12ea_d001;

/// Returns a scramble for the candidates of a run: the same candidates every time would leave the
/// same gaps.
pub(crate) fn scramble_of_run(seed: u64, index: u64) -> u64 {
    seed ^ CANDIDATES_SEED.wrapping_mul(index.wrapping_add(1))
}

/// Returns a point of the sequence that `seed` scrambles, each coordinate in `(0, 1)`.
///
/// Burley (2020), Practical hash-based Owen scrambling.
pub(crate) fn point(index: u64, dimensions: usize, seed: u64) -> Vec<f64> {
    let coordinate = |dimension: u32| {
        let scramble =
            mix(mix(seed ^ mix(index / POINTS_MAX)) ^ u64::from(dimension / DIMENSIONS_MAX));
        let u = f64::from(sobol_burley::sample(
            (index % POINTS_MAX) as u32,
            dimension % DIMENSIONS_MAX,
            scramble as u32,
        ));
        // The generator has 23 bits: the middle of its cell is as good as its edge, and never 0.
        u + 0.5 / f64::from(1 << 24)
    };
    (0..dimensions as u32).map(coordinate).collect()
}

/// Spreads a change of any bit over all bits (the finaliser of SplitMix64).
fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sixteenth_holds_one_of_sixteen() {
        for dimension in 0..5 {
            let mut cells: Vec<_> = (0..16)
                .map(|index| (point(index, 5, 3)[dimension] * 16.0) as u32)
                .collect();
            cells.sort_unstable();
            assert_eq!(cells, (0..16).collect::<Vec<_>>());
        }
    }

    #[test]
    fn seeds_differ_and_any_index_and_dimension_works() {
        assert_ne!(point(0, 3, 1), point(0, 3, 2));
        assert_ne!(point(0, 3, 1), point(POINTS_MAX, 3, 1));
        assert!(
            point(u64::MAX, 600, u64::MAX)
                .iter()
                .all(|u| 0.0 < *u && *u < 1.0)
        );
    }
}
