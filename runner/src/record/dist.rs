//! Distributions: samples counted in HdrHistogram's buckets of three significant digits.

use crate::evidence::Trend;

/// Samples that a distribution lists before it gets an array.
const LISTED: usize = 128;

/// The number of the bucket of a value: HdrHistogram's layout with 2,048 sub-buckets.
pub(crate) fn bucket_of(value: u64) -> u32 {
    let magnitude = 53 - (value | 2047).leading_zeros();
    (magnitude << 10) + (value >> magnitude) as u32
}

/// The highest value that falls into a bucket.
pub(crate) fn highest_of(bucket: u32) -> u64 {
    if bucket < 2048 {
        return u64::from(bucket);
    }
    let magnitude = (bucket >> 10) - 1;
    let low = u64::from((bucket & 1023) + 1024) << magnitude;
    low + ((1u64 << magnitude) - 1)
}

/// Samples of one distribution since the last hand-over.
#[derive(Debug, Default)]
pub(crate) struct Dist {
    zeros: u32,
    listed: Vec<u32>,
    array: Vec<u32>,
    count: u64,
    infinite: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// Samples of one distribution, as handed over or as summed up.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets {
    /// (bucket, count), ascending.
    pub(crate) counts: Vec<(u32, u64)>,
    /// Finite samples.
    pub(crate) count: u64,
    /// Samples above every bound.
    pub(crate) infinite: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl Dist {
    /// Adds a sample.
    #[inline]
    pub(crate) fn add(&mut self, value: u64) {
        if value == 0 {
            self.zeros += 1;
            self.min = 0;
            self.count += 1;
            return;
        }
        if self.count == 0 || value < self.min {
            self.min = value;
        }
        self.max = self.max.max(value);
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
        let bucket = bucket_of(value);
        if self.array.is_empty() && self.listed.len() < LISTED {
            self.listed.push(bucket);
        } else {
            self.add_to_array(bucket);
        }
    }

    /// Adds a sample that is above every bound.
    pub(crate) fn add_infinite(&mut self) {
        self.infinite += 1;
    }

    fn add_to_array(&mut self, bucket: u32) {
        for listed in self.listed.drain(..) {
            count_in(&mut self.array, listed);
        }
        count_in(&mut self.array, bucket);
    }

    /// Takes what was added. An array that a quiet second left nearly empty is given back.
    pub(crate) fn take(&mut self) -> Buckets {
        let mut counts = Vec::new();
        if self.zeros > 0 {
            counts.push((0, u64::from(self.zeros)));
        }
        if self.array.is_empty() {
            self.listed.sort_unstable();
            for &bucket in &self.listed {
                match counts.last_mut() {
                    Some((last, count)) if *last == bucket => *count += 1,
                    _ => counts.push((bucket, 1)),
                }
            }
            self.listed.clear();
        } else {
            for (bucket, count) in self.array.iter_mut().enumerate() {
                if *count > 0 {
                    counts.push((bucket as u32, u64::from(*count)));
                    *count = 0;
                }
            }
            if self.count < LISTED as u64 {
                self.array = Vec::new();
            }
        }
        let taken = Buckets {
            counts,
            count: self.count,
            infinite: self.infinite,
            sum: self.sum,
            min: self.min,
            max: self.max,
        };
        (self.zeros, self.count, self.infinite, self.sum, self.min, self.max) = (0, 0, 0, 0, 0, 0);
        taken
    }
}

fn count_in(array: &mut Vec<u32>, bucket: u32) {
    let at = bucket as usize;
    if at >= array.len() {
        // By whole magnitudes, so that a slowly growing maximum does not copy at every sample.
        array.resize((at / 1024 + 1) * 1024, 0);
    }
    array[at] += 1;
}

impl Buckets {
    /// Adds other samples; associative and commutative.
    pub(crate) fn merge(&mut self, other: &Buckets) {
        if other.count > 0 {
            self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
            self.max = self.max.max(other.max);
        }
        self.count += other.count;
        self.infinite += other.infinite;
        self.sum = self.sum.saturating_add(other.sum);
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
            return;
        }
        if other.counts.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.counts.len() + other.counts.len());
        let (mut left, mut right) = (self.counts.as_slice(), other.counts.as_slice());
        while let ([l, left_rest @ ..], [r, right_rest @ ..]) = (left, right) {
            match l.0.cmp(&r.0) {
                std::cmp::Ordering::Less => {
                    merged.push(*l);
                    left = left_rest;
                }
                std::cmp::Ordering::Greater => {
                    merged.push(*r);
                    right = right_rest;
                }
                std::cmp::Ordering::Equal => {
                    merged.push((l.0, l.1 + r.1));
                    (left, right) = (left_rest, right_rest);
                }
            }
        }
        merged.extend_from_slice(left);
        merged.extend_from_slice(right);
        self.counts = merged;
    }

    /// The value at or under which the share `q` of the finite samples lies; 0 when there are none.
    pub(crate) fn quantile(&self, q: f64) -> u64 {
        let rank = ((self.count as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return highest_of(*bucket).min(self.max);
            }
        }
        0
    }

    /// All samples, finite or not.
    pub(crate) fn total(&self) -> u64 {
        self.count + self.infinite
    }

    /// p50, p99 and max of the finite samples, when there are any.
    pub(crate) fn spread(&self) -> Option<[u64; 3]> {
        (self.count > 0).then(|| [self.quantile(0.5), self.quantile(0.99), self.max])
    }

    /// As evidence.
    pub(crate) fn to_trend(&self) -> Trend {
        Trend {
            buckets: self.counts.iter().map(|(bucket, count)| (highest_of(*bucket), *count)).collect(),
            infinite: self.infinite,
            sum: self.sum,
            min: self.min,
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_hdr_histogram() {
        let mut hdr = hdrhistogram::Histogram::<u64>::new(3).unwrap();
        for shift in 0..40 {
            for offset in [0u64, 1, 2, 3, 5, 7, 11, 1023] {
                hdr.auto(true);
                let value = (1u64 << shift) + offset;
                assert_eq!(highest_of(bucket_of(value)), hdr.highest_equivalent(value), "{value}");
            }
        }
        for value in (0..5_000_000u64).step_by(977) {
            assert_eq!(highest_of(bucket_of(value)), hdr.highest_equivalent(value), "{value}");
        }
    }

    #[test]
    fn few_samples_or_many_give_the_same_percentiles() {
        for n in [5u64, 127, 128, 129, 5_000] {
            let mut dist = Dist::default();
            let mut hdr = hdrhistogram::Histogram::<u64>::new(3).unwrap();
            let mut largest = 0;
            for i in 0..n {
                let value = (i * 7_919) % 300_000;
                largest = value.max(largest);
                dist.add(value);
                hdr.record(value).unwrap();
            }
            let taken = dist.take();
            assert_eq!(taken.count, n);
            for q in [0.5, 0.95, 0.99, 1.0] {
                assert_eq!(taken.quantile(q), hdr.value_at_quantile(q).min(largest), "{n} {q}");
            }
            assert_eq!(dist.take(), Buckets::default(), "nothing is left");
        }
    }

    #[test]
    fn merging_is_associative_and_commutative() {
        let dist = |values: &[u64]| {
            let mut dist = Dist::default();
            values.iter().for_each(|v| dist.add(*v));
            dist.take()
        };
        let (a, b, c) = (dist(&[1, 5, 5, 9_000]), dist(&[0, 5, 70_000]), dist(&[2]));
        let merge = |list: &[&Buckets]| {
            let mut sum = Buckets::default();
            list.iter().for_each(|one| sum.merge(one));
            sum
        };
        assert_eq!(merge(&[&a, &b, &c]), merge(&[&c, &b, &a]));
        let bc = merge(&[&b, &c]);
        assert_eq!(merge(&[&a, &bc]), merge(&[&a, &b, &c]));
        assert_eq!(merge(&[&a, &b, &c]).to_trend().min, 0);
    }
}
