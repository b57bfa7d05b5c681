//! Seeding beside the SQL that a team writes by hand, on a schema like that of document 001: 10,000 certificates
//! (20 columns, 9 indexes, 5 foreign keys) and 5,000 agents, in a private cluster with the settings of a durable server.
//!
//! Each round runs every contender once, and begins with another one each time. A contender's time is the wall clock of
//! the whole call; CPU is the kernel's own account of the server's process for this session, and of this process.

mod ground;
mod large;

use crate::median;
use ground::{Ground, Spent};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each runs every contender once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Parts to measure.
    #[arg(long, value_delimiter = ',', default_values = ["cold", "again", "drift", "million", "memory"])]
    parts: Vec<Part>,
    /// Rows of the part `million`.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Rows of the larger fixture of the part `memory`.
    #[arg(long, default_value_t = 5_000_000)]
    most: u64,
    /// Contenders of the part `million`.
    #[arg(long, value_delimiter = ',', default_values = ["copy", "seeders"])]
    contenders: Vec<large::Contender>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Part {
    /// Into empty tables, ANALYZE on both sides.
    Cold,
    /// Again, with nothing to do.
    Again,
    /// 100 rows have drifted and are mended.
    Drift,
    /// Many rows, beside psql's `\copy` of a file that is there.
    Million,
    /// Peak memory of `runner seed` at 10,000 and at very many rows.
    Memory,
}

/// Measures and prints the tables.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    let wanted = |part| arguments.parts.contains(&part);
    runtime.block_on(async {
        let mut ground = Ground::new().await?;
        println!("{}\n", ground.told().await?);
        if wanted(Part::Cold) {
            cold(&mut ground, arguments.rounds).await?;
        }
        if wanted(Part::Again) {
            again(&mut ground, arguments.rounds).await?;
        }
        if wanted(Part::Drift) {
            drift(&mut ground, arguments.rounds).await?;
        }
        if wanted(Part::Million) {
            large::million(&mut ground, arguments.rows, arguments.rounds, &arguments.contenders).await?;
        }
        if wanted(Part::Memory) {
            large::memory(&ground, arguments.most).await?;
        }
        Ok(())
    })
}

/// Empty tables, no ledger.
async fn cold(ground: &mut Ground, rounds: usize) -> Result<(), String> {
    let mut table = Table::new(
        "cold: 10,000 certificates and 5,000 agents into empty tables, ANALYZE on both sides",
        &["INSERT … SELECT generate_series", "seeders", "seeders, skip_foreign_key_triggers"],
    );
    for round in 0..rounds {
        for contender in table.order(round) {
            ground.empty().await?;
            let spent = match contender {
                0 => ground.script(&[ground::CERTIFICATES, ground::AGENTS]).await?,
                skipping => ground.seed(skipping == 2, false).await?,
            };
            ground.expect_rows(10_000, 5_000).await?;
            table.add(contender, spent);
        }
    }
    table.print();
    Ok(())
}

/// All rows are there already.
async fn again(ground: &mut Ground, rounds: usize) -> Result<(), String> {
    let mut table = Table::new(
        "again: nothing to do",
        &[
            "INSERT … SELECT generate_series … ON CONFLICT DO NOTHING",
            "seeders",
            "seeders, --trust-ledger",
            "seeders, a load has touched every row",
        ],
    );
    const TOUCHED: usize = 3;
    for round in 0..rounds.max(11) {
        ground.empty().await?;
        ground.seed(false, false).await?;
        let untouched = table.order(round).into_iter().filter(|contender| *contender != TOUCHED);
        for contender in untouched.chain([TOUCHED]) {
            let spent = match contender {
                0 => ground.insert_again().await?,
                1 => ground.seed(false, false).await?,
                2 => ground.seed(false, true).await?,
                _ => {
                    ground.touch().await?;
                    ground.seed(false, false).await?
                }
            };
            table.add(contender, spent);
        }
    }
    table.print();
    Ok(())
}

/// 100 rows of the certificates are not what they were.
async fn drift(ground: &mut Ground, rounds: usize) -> Result<(), String> {
    let mut table = Table::new(
        "drift: 100 of 10,000 certificates are mended",
        &["UPDATE … FROM generate_series", "INSERT … ON CONFLICT DO UPDATE", "seeders"],
    );
    ground.empty().await?;
    ground.seed_certificates().await?;
    for round in 0..rounds.max(11) {
        for contender in table.order(round) {
            ground.spoil().await?;
            let spent = match contender {
                0 => ground.script(&[ground::MEND]).await?,
                1 => ground.script(&[ground::UPSERT]).await?,
                _ => ground.seed_certificates().await?,
            };
            ground.expect_mended().await?;
            table.add(contender, spent);
        }
    }
    table.print();
    Ok(())
}

/// What contenders spent, round by round; the first, or the cheapest of those by hand, is what others are held against.
pub(crate) struct Table {
    title: String,
    names: Vec<&'static str>,
    spent: Vec<Vec<Spent>>,
}

impl Table {
    pub(crate) fn new(title: &str, names: &[&'static str]) -> Table {
        Table {
            title: title.into(),
            names: names.to_vec(),
            spent: names.iter().map(|_| Vec::new()).collect(),
        }
    }

    /// The contenders of a round, another one first each time.
    pub(crate) fn order(&self, round: usize) -> Vec<usize> {
        (0..self.names.len()).map(|at| (at + round) % self.names.len()).collect()
    }

    pub(crate) fn add(&mut self, contender: usize, spent: Spent) {
        eprintln!("{}: {:.1} ms", self.names[contender], spent.wall);
        self.spent[contender].push(spent);
    }

    pub(crate) fn print(&self) {
        println!("{}, {} rounds\n", self.title, self.spent[0].len());
        println!("| contender | wall ms | server CPU ms | client CPU ms | wall ÷ by hand | CPU ÷ by hand |");
        println!("|---|---|---|---|---|---|");
        let by_hand = self.by_hand();
        for (index, name) in self.names.iter().enumerate() {
            let middle = |figure: fn(&Spent) -> f64| median(self.spent[index].iter().map(figure).collect());
            let ratio = |figure: fn(&Spent) -> f64| {
                let pairs = self.spent[index].iter().zip(&self.spent[by_hand]);
                median(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
            };
            println!(
                "| {name} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} |",
                middle(|s| s.wall),
                middle(|s| s.server),
                middle(|s| s.client),
                ratio(|s| s.wall),
                ratio(|s| s.server + s.client),
            );
        }
        println!();
    }

    /// The cheapest of what is done without us.
    fn by_hand(&self) -> usize {
        let wall = |index: &usize| median(self.spent[*index].iter().map(|s| s.wall).collect());
        let theirs = (0..self.names.len()).filter(|index| !self.names[*index].starts_with("seeders"));
        theirs.min_by(|a, b| wall(a).total_cmp(&wall(b))).unwrap_or(0)
    }
}
