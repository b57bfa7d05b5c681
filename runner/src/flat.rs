//! Whether a number has gone flat: least squares through its points over a window.
//!
//! What the line rises or falls by over the window is held against a limit, the larger of a share of the mean and a
//! floor. Points are noisy (a p95 over a hundred samples lies up to a quarter beside the truth), so what noise alone
//! explains is taken off first: Student's one-sided 95 % of the slope's standard error, from what is left beside the
//! line. Without noise that is the bare rule |slope × window| ≤ limit.
//!
//! What that means in figures, for 100 exponential latencies a second over 30 s and a tolerance of 5 %: of windows in
//! which nothing changes about 1 in 30 is taken for a trend (and the next second is looked at again); a p95 that rises
//! by half of its mean over the window is found in 99 of 100, one that rises by a quarter in about two of three. Ten
//! times the load finds a third of that. The tests below hold these figures.

/// A straight line through points, over the whole window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    /// Mean of the points.
    pub(crate) mean: f64,
    /// Rise over the window, or fall below zero.
    pub(crate) change: f64,
    /// How much of the change noise alone explains.
    pub(crate) noise: f64,
    /// A change of so much is none.
    pub(crate) limit: f64,
}

/// Fewer points tell no trend.
pub(crate) const FEWEST_POINTS: usize = 5;

impl Line {
    /// Whether it is flat.
    pub(crate) fn is_flat(&self) -> bool {
        self.change.abs() - self.noise <= self.limit
    }
}

/// The line through points (seconds, value) that lie in a window of so many seconds. `None` for points that are too few
/// or too close together to tell, or that are not finite.
pub(crate) fn line(points: &[(f64, f64)], window: f64, tolerance: f64, floor: f64) -> Option<Line> {
    let n = points.len() as f64;
    let (first, last) = (points.first()?, points.last()?);
    let finite = points.iter().all(|(at, value)| at.is_finite() && value.is_finite());
    if points.len() < FEWEST_POINTS || last.0 - first.0 < window / 2.0 || !finite {
        return None;
    }
    let (mid, mean) =
        points.iter().fold((0.0, 0.0), |(at, value), point| (at + point.0 / n, value + point.1 / n));
    let spread: f64 = points.iter().map(|(at, _)| (at - mid).powi(2)).sum();
    let slope: f64 = points.iter().map(|(at, value)| (at - mid) * (value - mean)).sum::<f64>() / spread;
    let beside: f64 = points.iter().map(|(at, value)| (value - mean - slope * (at - mid)).powi(2)).sum();
    let error = (beside / (n - 2.0) / spread).sqrt();
    Some(Line {
        mean,
        change: slope * window,
        noise: student(points.len() - 2) * error * window,
        limit: (tolerance * mean.abs()).max(floor),
    })
}

/// One-sided 95 % of Student's distribution.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 10] = [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812];
    match FEW.get(freedom.saturating_sub(1)) {
        Some(few) => *few,
        None => 1.645 + 1.7 / freedom as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], floor: f64) -> Line {
        let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(at, v)| (at as f64, *v)).collect();
        line(&points, values.len() as f64, 0.05, floor).expect("a line")
    }

    #[test]
    fn without_noise_the_rule_is_bare() {
        for (name, values, floor, flat) in [
            ("no errors at all", vec![0.0; 10], 0.001, true),
            ("nothing changes", vec![100.0; 10], 0.0, true),
            ("4.9 % up", (0..10).map(|n| 100.0 + 0.49 * f64::from(n)).collect(), 0.0, true),
            ("8 % up", (0..10).map(|n| 100.0 + 0.8 * f64::from(n)).collect(), 0.0, false),
            ("8 % down", (0..10).map(|n| 100.0 - 0.8 * f64::from(n)).collect(), 0.0, false),
            ("under the floor", (0..10).map(|n| 1.0 + 0.4 * f64::from(n)).collect(), 5.0, true),
            ("over the floor", (0..10).map(|n| 1.0 + 0.6 * f64::from(n)).collect(), 5.0, false),
        ] {
            let line = of(&values, floor);
            assert_eq!(line.is_flat(), flat, "{name}: {line:?}");
        }
    }

    #[test]
    fn what_tells_nothing_is_no_line() {
        let points = |count: u32, apart: f64| -> Vec<(f64, f64)> {
            (0..count).map(|n| (f64::from(n) * apart, 1.0)).collect()
        };
        assert_eq!(line(&points(4, 5.0), 20.0, 0.05, 0.0), None, "too few");
        assert_eq!(line(&points(8, 1.0), 20.0, 0.05, 0.0), None, "all at the window's beginning");
        let endless = [points(9, 1.0), vec![(9.0, f64::INFINITY)]].concat();
        assert_eq!(line(&endless, 10.0, 0.05, 0.0), None);
        assert_eq!(line(&[], 10.0, 0.05, 0.0), None);
    }

    /// p95 of each second of a window, of exponential latencies whose mean rises by `rise` of itself over it.
    fn window(random: &mut dyn FnMut() -> f64, seconds: u32, each: usize, rise: f64) -> Vec<f64> {
        let mut out = Vec::new();
        for second in 0..seconds {
            let mean = 100.0 * (1.0 + rise * f64::from(second) / f64::from(seconds));
            let mut samples: Vec<f64> = (0..each).map(|_| -mean * (1.0 - random()).ln()).collect();
            samples.sort_by(f64::total_cmp);
            out.push(samples[(each * 95).div_ceil(100) - 1]);
        }
        out
    }

    #[test]
    fn noise_is_no_trend_and_a_trend_is_found_in_noise() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut moving = |each, rise| {
            let rounds = (0..500).map(|_| of(&window(&mut random, 30, each, rise), 0.0));
            rounds.filter(|line| !line.is_flat()).count() as f64 / 500.0
        };
        let (none, quarter, half) = (moving(100, 0.0), moving(100, 0.25), moving(100, 0.5));
        assert!(none < 0.06, "flat windows taken for a trend: {none}");
        assert!(quarter > 0.45, "a rise by a quarter found: {quarter}");
        assert!(half > 0.97, "a rise by half found: {half}");
        let many = moving(1_000, 0.15);
        assert!(many > 0.9, "a rise by 15 % at ten times the load found: {many}");
    }
}
