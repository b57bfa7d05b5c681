//! When things are due: pure functions of the demand, so that the shape of a load can be known
//! without running it.

use planc::graph::{Demand, RatePiece};
use planc::units::Rate;
use std::time::Duration;

/// When each arrival of an open model is due.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    pieces: Vec<Piece>,
    total: u64,
    duration: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Seconds after the beginning.
    start: f64,
    /// Seconds.
    length: f64,
    /// Arrivals before it.
    before: f64,
    /// Arrivals until its end.
    until: f64,
    /// Rate at its start, a second.
    rate: f64,
    /// Change of rate, a second per second.
    slope: f64,
}

/// A user begins or is retired.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct UserEvent {
    /// After the beginning.
    pub(crate) at: Duration,
    /// Number of the user, from 0.
    pub(crate) user: u32,
    /// Begins rather than is retired.
    pub(crate) begins: bool,
}

impl Arrivals {
    /// The schedule of an open model; of others nothing is due.
    pub(crate) fn of(demand: &Demand) -> Self {
        match demand.plain() {
            Demand::Arrivals { start_rate, pieces, .. } => Arrivals::new(start_rate, &pieces),
            other => Arrivals { pieces: Vec::new(), total: 0, duration: other.duration() },
        }
    }

    /// The schedule of a piecewise-linear rate.
    fn new(start_rate: Rate, pieces: &[RatePiece]) -> Self {
        let mut made = Vec::new();
        let (mut start, mut before, mut rate) = (0.0, 0.0, start_rate.per_second());
        for piece in pieces {
            let (length, target) = (piece.duration.as_secs_f64(), piece.target.per_second());
            if length > 0.0 {
                let until = before + (rate + target) / 2.0 * length;
                made.push(Piece { start, length, before, until, rate, slope: (target - rate) / length });
                (start, before) = (start + length, until);
            }
            rate = target;
        }
        // Half a millionth of an arrival is rounding, not demand: 167/s for 30 s is 5,010 and never 5,011.
        let total = (before - 1e-6).ceil().max(0.0) as u64;
        Arrivals { pieces: made, total, duration: pieces.iter().map(|p| p.duration).sum() }
    }

    /// Number of arrivals.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Length of the schedule; the last arrival may be due long before its end.
    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }

    /// When arrival `k` (from 0) is due after the beginning.
    pub(crate) fn due(&self, k: u64) -> Option<Duration> {
        if k >= self.total {
            return None;
        }
        let count = k as f64;
        let at = self.pieces.partition_point(|piece| piece.until <= count).min(self.pieces.len() - 1);
        let piece = &self.pieces[at];
        let a = (count - piece.before).max(0.0);
        // Stable where the textbook form of the quadratic's root loses seconds on nearly flat ramps.
        let root = (piece.rate * piece.rate + 2.0 * piece.slope * a).max(0.0).sqrt();
        let t = if a == 0.0 { first_moment(piece) } else { 2.0 * a / (piece.rate + root) };
        Some(Duration::from_secs_f64(piece.start + t.min(piece.length)))
    }
}

/// When the first arrival of a piece is due that begins on a whole count.
fn first_moment(piece: &Piece) -> f64 {
    // A piece without any arrival (rate 0 throughout) is passed over by its count; all others begin at once.
    if piece.rate == 0.0 && piece.slope == 0.0 { piece.length } else { 0.0 }
}

/// When users begin and are retired, in order of time. User i begins when the target reaches i + 1 and is
/// retired when it has fallen to i; the last to begin is the first to go. No two begin less than `apart` after
/// each other, so that many at once do not overrun the target's queue of new connections; whoever would begin behind
/// the end for that begins at the end.
pub(crate) fn user_events(demand: &Demand, apart: Duration) -> Vec<UserEvent> {
    let Demand::Users { start_vus, pieces, .. } = demand.plain() else { return Vec::new() };
    let mut events: Vec<UserEvent> =
        (0..start_vus).map(|user| UserEvent { at: Duration::ZERO, user, begins: true }).collect();
    let (mut start, mut from) = (Duration::ZERO, start_vus);
    for piece in &pieces {
        let (to, length) = (piece.target, piece.duration);
        let span = f64::from(to.abs_diff(from));
        let moment = |step: u32| start + length.mul_f64(f64::from(step) / span);
        if to > from {
            events.extend((from..to).map(|user| UserEvent {
                at: moment(user + 1 - from),
                user,
                begins: true,
            }));
        } else {
            events.extend((to..from).rev().map(|user| UserEvent {
                at: moment(from - user),
                user,
                begins: false,
            }));
        }
        (start, from) = (start + length, to);
    }
    let mut next = Duration::ZERO;
    for event in events.iter_mut().filter(|event| event.begins) {
        event.at = event.at.max(next.min(start));
        next = event.at + apart;
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::UserPiece;
    use proptest::prelude::*;

    fn rate(per_second: u64) -> Rate {
        Rate { count: per_second, per: Duration::from_secs(1) }
    }

    fn piece(target: u64, seconds: f64) -> RatePiece {
        RatePiece { target: rate(target), duration: Duration::from_secs_f64(seconds), hold: None }
    }

    #[test]
    fn totals_are_exact() {
        let table: [(u64, Vec<RatePiece>, u64); 8] = [
            (167, vec![piece(167, 30.0)], 5_010),
            (1, vec![piece(1, 1.0)], 1),
            (10, vec![piece(10, 1.05)], 11),
            (0, vec![piece(100, 10.0)], 500),
            (0, vec![piece(0, 5.0)], 0),
            (0, vec![piece(50, 0.0), piece(50, 2.0)], 100),
            (100, vec![piece(0, 10.0)], 500),
            (0, vec![piece(10, 10.0), piece(10, 10.0), piece(0, 10.0)], 200),
        ];
        for (start, pieces, total) in table {
            assert_eq!(Arrivals::new(rate(start), &pieces).total(), total, "{start} {pieces:?}");
        }
        let third = Rate { count: 1, per: Duration::from_secs(3) };
        let pieces = [RatePiece { target: third, duration: Duration::from_secs(3_600), hold: None }];
        assert_eq!(Arrivals::new(third, &pieces).total(), 1_200);
    }

    #[test]
    fn moments() {
        let flat = Arrivals::new(rate(4), &[piece(4, 2.0)]);
        let due: Vec<_> = (0..9).map(|k| flat.due(k).map(|d| d.as_millis())).collect();
        let expected = [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750].map(Some);
        assert_eq!(due, expected.into_iter().chain([None]).collect::<Vec<_>>());
        let ramp = Arrivals::new(rate(0), &[piece(100, 10.0)]);
        assert_eq!(ramp.due(0), Some(Duration::ZERO));
        assert!((ramp.due(125).unwrap().as_secs_f64() - 5.0).abs() < 1e-9);
        let gap = Arrivals::new(
            rate(1),
            &[piece(1, 1.0), piece(0, 0.0), piece(0, 5.0), piece(1, 0.0), piece(1, 1.0)],
        );
        assert_eq!(gap.due(1), Some(Duration::from_secs(6)), "no arrival falls into the gap");
        assert_eq!(gap.total(), 2);
    }

    #[test]
    fn users_ramp_up_and_down() {
        let pieces = |list: &[(u32, u64)]| -> Vec<UserPiece> {
            list.iter()
                .map(|(target, seconds)| UserPiece {
                    target: *target,
                    duration: Duration::from_secs(*seconds),
                    hold: None,
                })
                .collect()
        };
        let told = |start_vus, pieces| -> Vec<(u64, u32, bool)> {
            let graceful_ramp_down = Duration::ZERO;
            let users = Demand::Users { start_vus, pieces, graceful_ramp_down };
            let events = user_events(&users, Duration::from_micros(100));
            events.iter().map(|e| (e.at.as_secs(), e.user, e.begins)).collect()
        };
        assert_eq!(
            told(1, pieces(&[(3, 4), (3, 1), (1, 2)])),
            [(0, 0, true), (2, 1, true), (4, 2, true), (6, 2, false), (7, 1, false)]
        );
        assert_eq!(
            told(0, pieces(&[(2, 0), (0, 0)])),
            [(0, 0, true), (0, 1, true), (0, 1, false), (0, 0, false)]
        );
    }

    #[test]
    fn many_users_begin_at_a_bounded_rate() {
        let begins = |start_vus, jump, seconds| -> Vec<Duration> {
            let piece = |target, duration| UserPiece { target, duration, hold: None };
            let pieces = vec![piece(jump, Duration::ZERO), piece(jump, Duration::from_secs(seconds))];
            let graceful_ramp_down = Duration::ZERO;
            let users = Demand::Users { start_vus, pieces, graceful_ramp_down };
            user_events(&users, Duration::from_millis(1)).iter().map(|event| event.at).collect()
        };
        let ms = Duration::from_millis;
        assert_eq!(begins(3, 5, 9), [ms(0), ms(1), ms(2), ms(3), ms(4)]);
        let many = begins(10_000, 10_000, 2);
        assert_eq!(
            (many[1_999], many[2_000], many[9_999]),
            (ms(1_999), ms(2_000), ms(2_000)),
            "not behind the end"
        );
        let slow = UserPiece { target: 4, duration: Duration::from_secs(4), hold: None };
        let graceful_ramp_down = Duration::ZERO;
        let slow = Demand::Users { start_vus: 0, pieces: vec![slow], graceful_ramp_down };
        assert_eq!(user_events(&slow, ms(1)), user_events(&slow, Duration::ZERO), "a ramp stays what it is");
    }

    proptest! {
        /// Arrival k is due where the integral of the rate reaches k, in order, within the schedule.
        #[test]
        fn arrivals_follow_the_integral(
            start in 0u64..500,
            raw in prop::collection::vec((0u64..500, 1u64..4_000), 1..5),
        ) {
            let pieces: Vec<_> = raw.iter().map(|(target, ms)| piece(*target, *ms as f64 / 1e3)).collect();
            let schedule = Arrivals::new(rate(start), &pieces);
            let integral = |t: f64| {
                let (mut sum, mut from, mut left) = (0.0, start as f64, t);
                for piece in &pieces {
                    let (length, to) = (piece.duration.as_secs_f64(), piece.target.count as f64);
                    let part = left.clamp(0.0, length);
                    let reached = from + (to - from) * part / length;
                    sum += (from + reached) / 2.0 * part;
                    left -= length;
                    from = to;
                }
                sum
            };
            let end = schedule.duration().as_secs_f64();
            prop_assert!((schedule.total() as f64 - integral(end)).abs() <= 1.0);
            let mut last = 0.0;
            for k in 0..schedule.total() {
                let due = schedule.due(k).unwrap().as_secs_f64();
                prop_assert!(due >= last && due <= end + 1e-9);
                // A nanosecond of rounding in the moment is rate × 1e-9 arrivals.
                prop_assert!((integral(due) - k as f64).abs() < 1e-3, "{} {} {}", k, due, integral(due));
                last = due;
            }
        }
    }
}
