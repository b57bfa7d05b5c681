//! Accounts over HTTP at a declared limit: how long it takes beside what arithmetic says, how often the service has to
//! refuse, and what a kill half-way costs.

use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use tests::Running;
use tests::registration::{Registration, Tells};

/// Seeds `rows` accounts at `per_minute`; with `kill` half of them, then from another process the rest.
pub(crate) fn measure(rows: u64, per_minute: u32, kill: bool) -> Result<(), String> {
    println!(
        "| service tells | accounts | arithmetic s | took s | ratio | 429 | answered exists | killed at |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let cases: &[Tells] = if kill { &[Tells::Exists, Tells::Probe] } else { &[Tells::Exists] };
    for tells in cases {
        one(rows, per_minute, *tells, kill)?;
    }
    Ok(())
}

fn one(rows: u64, per_minute: u32, tells: Tells, kill: bool) -> Result<(), String> {
    // A bucket of one second: whoever sends more than the limit's even stream is refused.
    let service = Registration::new(rows, per_minute, (per_minute / 60).max(1), tells);
    let start = Instant::now();
    let mut killed_at = None;
    if kill {
        let seeding = Running::start(&mut service.seed(&[]));
        while service.accounts() < rows / 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        seeding.signal(Signal::SIGKILL);
        drop(seeding);
        killed_at = Some(service.accounts());
    }
    let said = tests::run(&mut service.seed(&[]));
    let took = start.elapsed().as_secs_f64();
    if said.code != 0 {
        return Err(said.all());
    }
    eprint!("{}", said.out);
    let (made, existed) = (service.answered(201), service.answered(400));
    let (there, limited) = (service.accounts(), service.answered(429));
    if made > rows || there != rows {
        return Err(format!("{rows} accounts were wanted, {made} were made and {there} are there"));
    }
    let arithmetic = (rows - 1) as f64 * 60.0 / f64::from(per_minute);
    let killed = killed_at.map_or("-".into(), |count| count.to_string());
    println!(
        "| {tells:?} | {rows} | {arithmetic:.1} | {took:.1} | {:.3} | {limited} | {existed} | {killed} |",
        took / arithmetic
    );
    Ok(())
}
