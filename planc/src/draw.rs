//! The counter-based hash behind every draw of a row. Stable for ever: changing it changes everybody's rows.
//!
//! A draw is keyed by (seed, fixture, column, row, index) and needs no state, so any row can be made alone and in any
//! order, and columns are independent of each other. The mixing function is the finaliser of SplitMix64 (Stafford's
//! variant 13); names are folded in eight bytes at a time, little endian, followed by their length.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser: a bijection of 64 bits in which every input bit moves about half of the output bits.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fold(mut state: u64, name: &str) -> u64 {
    for chunk in name.as_bytes().chunks(8) {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state.wrapping_add(GOLDEN) ^ u64::from_le_bytes(word));
    }
    mix(state.wrapping_add(GOLDEN) ^ name.len() as u64)
}

/// The key of one column of one fixture.
pub fn column_key(seed: u64, fixture: &str, column: &str) -> u64 {
    fold(fold(mix(seed ^ GOLDEN), fixture), column)
}

/// 64 bits for draw number `index` of row `n` under a column's key.
pub fn draw(key: u64, n: u64, index: u64) -> u64 {
    mix(mix(key ^ mix(n.wrapping_mul(GOLDEN))).wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN)))
}

/// The first `random.*` of a template draws under this index, so that it never repeats a generator's own draws.
pub const TEMPLATE_DRAWS: u64 = 1 << 32;

/// A draw scaled to `0..span` by multiplication (bias under span / 2^64). A span of 0 gives 0.
pub fn below(draw: u64, span: u128) -> u128 {
    if span <= u128::from(u64::MAX) { (u128::from(draw) * span) >> 64 } else { u128::from(draw) }
}

/// A version 4 shaped UUID from a row's key.
pub fn uuid(key: u64, n: u64) -> u128 {
    let bits = (u128::from(draw(key, n, 0)) << 64) | u128::from(draw(key, n, 1));
    (bits & !(0xf << 76) & !(0xc << 60)) | (0x4 << 76) | (0x8 << 60)
}

/// Milliseconds from 1970 to 2025, from which the time of version 7 UUIDs is counted.
const UUID_EPOCH: u64 = 1_735_689_600_000;

/// A version 7 shaped UUID (RFC 9562): its time part is a fixed one plus `n` milliseconds, so that the order is that of
/// the rows and hangs on no clock; its other 74 bits are from the row's key.
pub fn uuid_v7(key: u64, n: u64) -> u128 {
    let time = u128::from((UUID_EPOCH.wrapping_add(n)) & 0xffff_ffff_ffff) << 80;
    let random = (u128::from(draw(key, n, 0) & 0xfff) << 64) | u128::from(draw(key, n, 1) >> 2);
    time | (0x7 << 76) | (0x8 << 60) | random
}

/// Lower-case hexadecimal of so many digits from a row's key.
pub fn hex(key: u64, n: u64, length: usize) -> String {
    let mut text = String::with_capacity(length);
    push_hex(key, n, length, &mut text);
    text
}

/// The same at the end of a text.
pub fn push_hex(key: u64, n: u64, length: usize, text: &mut String) {
    for (index, from) in (0..length).step_by(16).enumerate() {
        let word = draw(key, n, index as u64);
        let digit = |at: usize| b"0123456789abcdef"[(word >> (60 - 4 * at)) as usize & 15];
        let digits: [u8; 16] = std::array::from_fn(digit);
        text.push_str(std::str::from_utf8(&digits[..16.min(length - from)]).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values_never_change() {
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        let key = column_key(42, "agents", "os");
        assert_eq!(
            (key, draw(key, 1, 0), draw(key, 1, 1), draw(key, 2, 0)),
            GOLDEN_AGENTS_OS,
            "the hash is part of the format: rows of every user would change"
        );
    }

    const GOLDEN_AGENTS_OS: (u64, u64, u64, u64) = (
        7_699_052_242_301_900_570,
        3_859_814_363_981_006_836,
        16_937_609_517_959_413_978,
        5_499_074_243_149_674_474,
    );

    #[test]
    fn columns_and_rows_are_independent() {
        let (os, arch) = (column_key(1, "agents", "os"), column_key(1, "agents", "arch"));
        let mut cells = [[0u32; 4]; 4];
        for n in 1..=16_000 {
            let a = below(draw(os, n, 0), 4) as usize;
            let b = below(draw(arch, n, 0), 4) as usize;
            cells[a][b] += 1;
        }
        for count in cells.iter().flatten() {
            assert!((850..1150).contains(count), "expected about 1000 in each cell: {cells:?}");
        }
    }

    #[test]
    fn below_stays_below() {
        assert_eq!(below(u64::MAX, 10), 9);
        assert_eq!(below(0, 10), 0);
        assert_eq!(below(u64::MAX, 0), 0);
        assert_eq!(below(7, 1 << 64), 7);
    }
}
