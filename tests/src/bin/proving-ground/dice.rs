//! Chance that a seed repeats.

/// SplitMix64: small, and good enough to choose which request to break.
pub(crate) struct Dice(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The dice of the `n`-th request under `seed`: a function of both, so that requests in parallel cannot
    /// change each other's luck.
    pub(crate) fn of(seed: u64, n: u64) -> Self {
        let mut key = Self(seed ^ GOLDEN);
        Self(key.next().wrapping_add(n.wrapping_mul(0xd1b5_4a32_d192_ed03)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0 ≤ x < 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box–Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_number_throw_the_same() {
        assert_eq!(Dice::of(7, 3).unit(), Dice::of(7, 3).unit());
        assert_ne!(Dice::of(7, 3).unit(), Dice::of(7, 4).unit());
        assert_ne!(Dice::of(7, 3).unit(), Dice::of(8, 3).unit());
    }

    #[test]
    fn throws_over_many_requests_are_uniform_and_normal() {
        let n = 100_000;
        let mean = (0..n).map(|i| Dice::of(1, i).unit()).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let square = (0..n).map(|i| Dice::of(1, i).normal().powi(2)).sum::<f64>() / n as f64;
        assert!((square - 1.0).abs() < 0.02, "{square}");
    }
}
