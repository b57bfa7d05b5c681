//! The casino's settlement queue: what a bet won is paid out by a worker, some time after the bet.
//!
//! It is a queue as BullMQ's: jobs wait, are active and are completed, and a worker slower than the bets shows
//! as a number of waiting jobs that grows. `SETTLE_RATE` makes it so slow.

use crate::ground::Shared;
use crate::pool::Pool;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Jobs that a worker takes at once, so that a fast worker is bound by the database and not by round trips.
const BATCH: usize = 64;

/// Bets that wait to be settled, oldest first.
pub(crate) struct Settlement {
    waiting: Mutex<VecDeque<i64>>,
    arrived: Notify,
    active: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    /// Jobs a second; 0 is as fast as the database.
    rate: u32,
}

/// How many jobs are in which state, in the order of their names.
pub(crate) type States = [(&'static str, u64); 4];

/// Starts the worker of a server that has a database.
pub(crate) fn start(ground: Shared) {
    tokio::spawn(async move {
        if let Some(pool) = ground.database() {
            ground.settlement.work(pool).await;
        }
    });
}

impl Settlement {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            active: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            rate,
        }
    }

    /// Hands a bet over.
    pub(crate) fn enqueue(&self, bet: i64) {
        self.lock().push_back(bet);
        self.arrived.notify_one();
    }

    pub(crate) fn states(&self) -> States {
        let wait = self.lock().len() as u64;
        [
            ("active", self.active.load(Relaxed)),
            ("completed", self.completed.load(Relaxed)),
            ("failed", self.failed.load(Relaxed)),
            ("wait", wait),
        ]
    }

    /// Settles bets for as long as the server lives.
    pub(crate) async fn work(&self, pool: &Pool) {
        let mut due = Instant::now();
        loop {
            let batch = self.take().await;
            self.active.store(batch.len() as u64, Relaxed);
            let done = match settle(pool, &batch).await {
                Ok(()) => &self.completed,
                Err(error) => {
                    eprintln!("proving-ground: settling {} bets: {error}", batch.len());
                    &self.failed
                }
            };
            done.fetch_add(batch.len() as u64, Relaxed);
            self.active.store(0, Relaxed);
            if self.rate > 0 {
                // From a schedule of its own, so that time spent in the database does not lower the rate.
                due = due.max(Instant::now() - Duration::from_secs(1));
                due += Duration::from_secs(1) * batch.len() as u32 / self.rate;
                tokio::time::sleep_until(due).await;
            }
        }
    }

    /// The oldest jobs, as soon as there are any.
    async fn take(&self) -> Vec<i64> {
        loop {
            {
                let mut waiting = self.lock();
                // A worker with a rate takes one at a time, as one that is slow for each job does.
                let most = if self.rate > 0 { 1 } else { BATCH };
                let count = waiting.len().min(most);
                if count > 0 {
                    return waiting.drain(..count).collect();
                }
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<i64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pays out, once for each bet whatever happens: a bet that is settled already is not touched.
async fn settle(pool: &Pool, bets: &[i64]) -> Result<(), tokio_postgres::Error> {
    let sql = "with settled as (
                   update casino_bets set settled_at = now() where id = any($1) and settled_at is null
                   returning player_id, payout
               ), won as (select player_id, sum(payout)::bigint as payout from settled group by player_id)
               update casino_wallets w set balance = balance + won.payout
               from won where w.player_id = won.player_id and won.payout > 0";
    pool.execute(sql, &[&bets]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_taken_oldest_first_and_one_by_one_where_there_is_a_rate() {
        let (fast, slow) = (Settlement::new(0), Settlement::new(5));
        for bet in 1..=3 {
            fast.enqueue(bet);
            slow.enqueue(bet);
        }
        assert_eq!(fast.take().await, [1, 2, 3]);
        assert_eq!(slow.take().await, [1]);
        assert_eq!(slow.states()[3], ("wait", 2));
    }
}
