//! Order statistics over histogram buckets, and confidence intervals at 95 %.

use crate::evidence::Trend;
use std::collections::BTreeMap;

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_963_985;

/// Samples of a trend pooled over series: finite ones in buckets, the others above every bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    buckets: BTreeMap<u64, u64>,
    /// Samples above every bound.
    pub(crate) infinite: u64,
    sum: u128,
    finite: u64,
    min: Option<u64>,
    max: u64,
}

impl Distribution {
    /// Takes in a trend's samples.
    pub(crate) fn add(&mut self, trend: &Trend) {
        let before = self.finite;
        for (value, count) in &trend.buckets {
            *self.buckets.entry(*value).or_default() += count;
            self.finite += count;
        }
        self.infinite += trend.infinite;
        self.sum += u128::from(trend.sum);
        if self.finite > before {
            self.min = Some(self.min.map_or(trend.min, |min| min.min(trend.min)));
            self.max = self.max.max(trend.max);
        }
    }

    /// Takes in samples that meet any upper bound.
    pub(crate) fn add_good(&mut self, count: u64) {
        if count > 0 {
            *self.buckets.entry(0).or_default() += count;
            self.finite += count;
            self.min = Some(0);
        }
    }

    /// The samples without those that were there before.
    pub(crate) fn less(&self, earlier: &Distribution) -> Distribution {
        let left = self.buckets.iter().filter_map(|(value, count)| {
            let count = count.saturating_sub(earlier.buckets.get(value).copied().unwrap_or(0));
            (count > 0).then_some((*value, count))
        });
        let buckets: BTreeMap<u64, u64> = left.collect();
        Distribution {
            finite: buckets.values().sum(),
            infinite: self.infinite.saturating_sub(earlier.infinite),
            sum: self.sum.saturating_sub(earlier.sum),
            min: buckets.keys().next().copied(),
            max: buckets.keys().next_back().map_or(0, |value| (*value).min(self.max)),
            buckets,
        }
    }

    /// All samples.
    pub(crate) fn total(&self) -> u64 {
        self.finite + self.infinite
    }

    /// The sample at a rank counted from 1; `None` when there is no such rank.
    pub(crate) fn at_rank(&self, rank: u64) -> Option<f64> {
        if rank == 0 || rank > self.total() {
            return None;
        }
        let mut seen = 0;
        for (value, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                // A bucket's highest equivalent value may lie above what was really seen.
                return Some(if self.max > 0 { (*value).min(self.max) } else { *value } as f64);
            }
        }
        Some(f64::INFINITY)
    }

    /// The percentile: the sample at rank ceil(p·N). `p` in millionths of a percent.
    pub(crate) fn percentile(&self, p: i64) -> Option<f64> {
        self.at_rank(rank(p, self.total()))
    }

    /// Smallest sample.
    pub(crate) fn min(&self) -> Option<f64> {
        match self.min {
            Some(min) => Some(min as f64),
            None => (self.infinite > 0).then_some(f64::INFINITY),
        }
    }

    /// Largest sample.
    pub(crate) fn max(&self) -> Option<f64> {
        if self.infinite > 0 {
            return Some(f64::INFINITY);
        }
        (self.finite > 0).then_some(self.max as f64)
    }

    /// Mean of the finite samples.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.sum as f64 / self.finite as f64)
    }

    /// Interval of the mean, by the buckets' variance.
    pub(crate) fn mean_interval(&self) -> Option<(f64, f64)> {
        let mean = self.mean()?;
        if self.finite < 2 {
            return None;
        }
        let squares: f64 =
            self.buckets.iter().map(|(value, count)| (*value as f64 - mean).powi(2) * *count as f64).sum();
        let n = self.finite as f64;
        let half = Z * (squares / (n - 1.0) / n).sqrt();
        Some((mean - half, mean + half))
    }

    /// Interval of a percentile, as the order statistics that enclose it with 95 %. The upper end is
    /// infinite when there are too few samples to bound it.
    pub(crate) fn percentile_interval(&self, p: i64) -> Option<(f64, f64)> {
        let n = self.total();
        if n == 0 || p <= 0 || p >= 100_000_000 {
            return None;
        }
        let (low, high) = order_ranks(n, p as f64 / 1e8);
        let low = if low == 0 { 0.0 } else { self.at_rank(low)? };
        let high = if high > n { f64::INFINITY } else { self.at_rank(high)? };
        Some((low, high))
    }
}

/// ceil(p·N), at least 1; `p` in millionths of a percent.
fn rank(p: i64, n: u64) -> u64 {
    let p = p.clamp(0, 100_000_000) as u128;
    let rank = (p * u128::from(n)).div_ceil(100_000_000) as u64;
    rank.max(1)
}

/// Ranks (from 1) of the order statistics that enclose the p-quantile with 95 %; 0 and n + 1 mean
/// that no sample does.
fn order_ranks(n: u64, p: f64) -> (u64, u64) {
    if n > 2_000 {
        let (mean, half) = (n as f64 * p, Z * (n as f64 * p * (1.0 - p)).sqrt());
        return ((mean - half).floor().max(0.0) as u64, (mean + half).ceil() as u64 + 1);
    }
    let (mut low, mut high) = (0, n + 1);
    let mut log_mass = n as f64 * (1.0 - p).ln();
    let mut below = 0.0;
    for k in 0..=n {
        below += log_mass.exp();
        // below is P(B <= k): rank k+1 is a lower end while that is at most 2.5 %, the first upper end at 97.5 %.
        if below <= 0.025 {
            low = k + 1;
        }
        if below >= 0.975 {
            high = k + 1;
            break;
        }
        log_mass += ((n - k) as f64 / (k + 1) as f64).ln() + (p / (1.0 - p)).ln();
    }
    (low, high)
}

/// Wilson's interval of a share.
pub(crate) fn wilson(trues: u64, total: u64) -> Option<(f64, f64)> {
    if total == 0 {
        return None;
    }
    let (n, share) = (total as f64, trues as f64 / total as f64);
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64], infinite: u64) -> Distribution {
        let mut trend = Trend { infinite, ..Trend::default() };
        let mut buckets = BTreeMap::<u64, u64>::new();
        for value in values {
            *buckets.entry(*value).or_default() += 1;
        }
        trend.buckets = buckets.into_iter().collect();
        trend.sum = values.iter().sum();
        trend.min = values.iter().min().copied().unwrap_or(0);
        trend.max = values.iter().max().copied().unwrap_or(0);
        let mut out = Distribution::default();
        out.add(&trend);
        out
    }

    #[test]
    fn ranks() {
        for (values, infinite, p, want) in [
            (&[1, 2, 3, 4][..], 0, 50, Some(2.0)),
            (&[1, 2, 3, 4], 0, 51, Some(3.0)),
            (&[1, 2, 3, 4], 0, 100, Some(4.0)),
            (&[1, 2, 3, 4], 0, 0, Some(1.0)),
            (&[1, 2, 3], 1, 75, Some(3.0)),
            (&[1, 2, 3], 1, 76, Some(f64::INFINITY)),
            (&[], 3, 95, Some(f64::INFINITY)),
            (&[], 0, 95, None),
        ] {
            assert_eq!(
                of(values, infinite).percentile(p * 1_000_000),
                want,
                "p({p}) of {values:?}+{infinite}"
            );
        }
    }

    #[test]
    fn extremes() {
        assert_eq!(of(&[5, 9], 0).max(), Some(9.0));
        assert_eq!(of(&[5, 9], 1).max(), Some(f64::INFINITY));
        assert_eq!(of(&[5, 9], 1).min(), Some(5.0));
        assert_eq!(of(&[5, 9], 1).mean(), Some(7.0));
        assert_eq!(of(&[], 0).max(), None);
    }

    #[test]
    fn intervals() {
        // Nothing bounds p95 from above with a 95 % two-sided interval under 72 samples.
        assert_eq!(order_ranks(71, 0.95).1, 72);
        assert_eq!(order_ranks(72, 0.95).1, 72);
        let (low, high) = order_ranks(1_000, 0.95);
        assert!((935..=938).contains(&low) && (963..=966).contains(&high), "{low} {high}");
        let (low, high) = order_ranks(100_000, 0.5);
        assert!((49_680..=49_700).contains(&low) && (50_300..=50_320).contains(&high), "{low} {high}");
        let (low, high) = wilson(0, 100).expect("samples");
        assert!(low == 0.0 && (0.03..0.04).contains(&high));
        assert_eq!(wilson(0, 0), None);
    }
}
