//! `pause`: think time.

use super::websocket::{self, Place};
use crate::prepare::ScenarioProgram;
use crate::text::Env;
use crate::vu::Vu;
use planc::graph::Pause;
use std::time::Duration;

/// Waits; a rehearsal does not.
pub(super) async fn play(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    pause: &Pause,
    place: Place,
) -> Option<usize> {
    if vu.all_branches {
        return Some(place.at + 1);
    }
    let length = length(pause, &vu.env);
    if vu.session.is_some() {
        return websocket::pause(vu, scenario, length, place).await;
    }
    tokio::time::sleep(length).await;
    Some(place.at + 1)
}

fn length(pause: &Pause, env: &Env) -> Duration {
    // Never 0, whose logarithm has no value.
    let uniform = || ((env.random() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
    match pause {
        Pause::Fixed(length) => *length,
        Pause::Uniform { from, to } => *from + to.saturating_sub(*from).mul_f64(uniform()),
        Pause::Normal { mean, deviation } => {
            let (a, b) = (uniform(), uniform());
            let z = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
            let seconds = mean.as_secs_f64() + z * deviation.as_secs_f64();
            Duration::from_secs_f64(seconds.max(0.0))
        }
        Pause::Exponential { mean } => mean.mul_f64(-uniform().ln()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_as_asked() {
        let env = Env::default();
        let mean = |pause: Pause| {
            let sum: f64 = (0..20_000).map(|_| length(&pause, &env).as_secs_f64()).sum();
            sum / 20_000.0
        };
        let ms = Duration::from_millis;
        assert_eq!(length(&Pause::Fixed(ms(7)), &env), ms(7));
        assert!((mean(Pause::Uniform { from: ms(100), to: ms(300) }) - 0.2).abs() < 0.002);
        assert!((mean(Pause::Normal { mean: ms(200), deviation: ms(20) }) - 0.2).abs() < 0.002);
        assert!((mean(Pause::Exponential { mean: ms(200) }) - 0.2).abs() < 0.006);
    }
}
