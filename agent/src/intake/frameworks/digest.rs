//! Digests of cells and points, which the journal keeps.

/// FNV-1a with the last step of SplitMix64, without which sums of digests collide where cells differ
/// in their last characters. The same in every version of this program.
pub(crate) fn digest(name: &str, cell: &str) -> u64 {
    let bytes = name.bytes().chain([0]).chain(cell.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
