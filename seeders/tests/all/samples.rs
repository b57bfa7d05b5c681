//! Samples: what rows draw from another table, and that they stay the same.

use crate::harness::*;
use seeders::{Action, Fixtures, Inputs, Mode, Receipt, SeedError, SeedOptions, apply_with, inspect};
use std::collections::BTreeSet;
use tokio_postgres::Client;

const TABLES: &str = "CREATE TABLE teams (id text PRIMARY KEY, code bigint, ref uuid, amount numeric); \
    CREATE TABLE agents (id text PRIMARY KEY, team text, port bigint, ref uuid, amount numeric, note text);";

/// `count` teams from number `first` on.
fn teams(first: u32, count: u32) -> String {
    format!(
        "INSERT INTO teams SELECT 't-' || i, 9007199254740993 + i, md5(i::text)::uuid, i + 0.12345678901234567 \
         FROM generate_series({first}, {first} + {count} - 1) i;"
    )
}

fn agents(more: &str) -> Fixtures {
    let text = format!(
        "fixture: agents\ntable: agents\nrows: 400\nidentity: id\ncolumns:\n  id: \"a-{{{{ n }}}}\"\n  \
         team: {{ references: teams.id, sample: 20 }}\n{more}"
    );
    Fixtures::compile([("agents.yaml", text)]).unwrap_or_else(|error| panic!("{error}"))
}

async fn applied(
    client: &mut Client,
    fixtures: &Fixtures,
    options: &SeedOptions,
) -> Result<Receipt, SeedError> {
    let receipts = apply_with(client, fixtures, options, &mut |_| {}).await?;
    Ok(receipts.into_iter().next_back().unwrap())
}

async fn seeded(client: &mut Client, fixtures: &Fixtures) -> Receipt {
    applied(client, fixtures, &options()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// The drawn values, in the order of the rows.
async fn drawn(client: &Client) -> Vec<String> {
    let rows = client.query("SELECT team FROM agents ORDER BY substr(id, 3)::int", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn told(sql: &str, fixtures: &Fixtures) -> Vec<String> {
    let mut client = with(sql).await;
    let misfits = inspect(&client, fixtures.graph(), &Inputs::new()).await.unwrap();
    let told: Vec<String> = misfits.iter().map(ToString::to_string).collect();
    if !told.is_empty() {
        applied(&mut client, fixtures, &options()).await.expect_err("nothing is seeded that does not fit");
        let made = "SELECT (SELECT count(*) FROM agents) + (to_regclass('planc.ledger') IS NOT NULL)::int";
        assert_eq!(number(&client, made).await, 0);
    }
    told
}

#[tokio::test]
async fn rows_draw_from_what_is_there_and_stay_as_they_are_when_more_comes() {
    let mut client = with(&(TABLES.to_string() + &teams(1, 500))).await;
    let fixtures = agents("");
    assert_eq!(seeded(&mut client, &fixtures).await.inserted, 400);
    let first = drawn(&client).await;
    let distinct: BTreeSet<&String> = first.iter().collect();
    assert_eq!(distinct.len(), 20, "400 rows draw each of 20 values");
    let strangers = "SELECT count(*) FROM agents WHERE team NOT IN (SELECT id FROM teams)";
    assert_eq!(number(&client, strangers).await, 0);

    client.batch_execute(&teams(1_000, 5_000)).await.unwrap();
    assert_eq!(seeded(&mut client, &fixtures).await.action, Action::NothingToDo);
    let verified = applied(&mut client, &fixtures, &mode(Mode::Verify)).await.unwrap();
    assert_eq!((verified.action, verified.drift), (Action::Verified, None));
    // What is mended and what a column more changes is made of the same sample.
    client.batch_execute("UPDATE agents SET team = 't-0' WHERE id = 'a-7'").await.unwrap();
    assert_eq!(seeded(&mut client, &fixtures).await.updated, 1);
    assert_eq!(drawn(&client).await, first);
    assert_eq!(seeded(&mut client, &agents("  note: new\n")).await.updated, 400);
    assert_eq!(drawn(&client).await, first);
    // Only without its ledger entry is it a new seeding.
    applied(&mut client, &fixtures, &mode(Mode::Reset)).await.unwrap();
    seeded(&mut client, &fixtures).await;
    assert_ne!(drawn(&client).await, first, "of 5,500 values others are the lowest");
}

#[tokio::test]
async fn the_same_values_give_the_same_sample_in_whatever_order_they_came() {
    let mut rows = Vec::new();
    for order in [[teams(1, 50), teams(51, 50)], [teams(51, 50), teams(1, 50)]] {
        let mut client = with(&(TABLES.to_string() + &order.concat())).await;
        seeded(&mut client, &agents("")).await;
        rows.push(drawn(&client).await);
    }
    assert_eq!(rows[0], rows[1]);
}

#[tokio::test]
async fn what_cannot_be_drawn_is_told_before_anything_is_written() {
    let few = TABLES.to_string() + &teams(1, 19);
    assert_eq!(
        told(&few, &agents("")).await,
        [
            "fixture `agents`, column `team`: a sample of 20 values of `teams.id` is asked for, and it holds 19; NULL is \
          no value, and equal values count once (help: write `sample: 19` or less, or seed `teams` first)"
        ]
    );
    let nulls =
        TABLES.to_string() + &teams(1, 100) + "UPDATE teams SET code = CASE WHEN code % 2 = 0 THEN 5 END;";
    let port = "  port: { references: teams.code, sample: 2 }\n";
    let found = told(&nulls, &agents(port)).await;
    assert!(
        found.iter().any(|line| line.contains("`teams.code` is asked for, and it holds 1;")),
        "{found:?}"
    );
    let near = "  port: { references: teams.cod, sample: 2 }\n";
    let found = told(&(TABLES.to_string() + &teams(1, 100)), &agents(near)).await;
    assert_eq!(
        found,
        ["fixture `agents`, column `port`: table `teams` has no column `cod` (help: did you mean `code`?)"]
    );
    let found = told("CREATE TABLE agents (id text PRIMARY KEY, team text)", &agents("")).await;
    assert_eq!(
        found,
        ["fixture `agents`, column `team`: table `teams`, of whose rows it draws, does not exist"]
    );
    let text = "  port: { references: teams.id, sample: 2 }\n";
    let found = told(&(TABLES.to_string() + &teams(1, 100)), &agents(text)).await;
    assert!(found.iter().any(|line| line.contains("column `port`: row 1: ")), "{found:?}");
}

#[tokio::test]
async fn values_arrive_as_they_are() {
    let mut client = with(&(TABLES.to_string() + &teams(1, 30))).await;
    let all = "  port: { references: teams.code, sample: 30 }\n  ref: { references: teams.ref, sample: 30 }\n  \
               amount: { references: teams.amount, sample: 30 }\n";
    seeded(&mut client, &agents(all)).await;
    let met = "SELECT count(*) FROM agents WHERE port IN (SELECT code FROM teams) AND ref IN (SELECT ref FROM teams) \
               AND amount IN (SELECT amount FROM teams)";
    assert_eq!(number(&client, met).await, 400);
    assert_eq!(seeded(&mut client, &agents(all)).await.action, Action::NothingToDo);
}

#[tokio::test]
async fn a_value_that_is_gone_is_replaced_and_the_others_stay() {
    let mut client = with(&(TABLES.to_string() + &teams(1, 40))).await;
    seeded(&mut client, &agents("")).await;
    let first = drawn(&client).await;
    let (gone, spoilt) = (first[0].clone(), first.iter().position(|team| *team != first[0]).unwrap());
    client.execute("DELETE FROM teams WHERE id = $1", &[&gone]).await.unwrap();
    assert_eq!(
        seeded(&mut client, &agents("")).await.action,
        Action::NothingToDo,
        "the rows are as they were"
    );
    let id = format!("a-{}", spoilt + 1);
    client.execute("UPDATE agents SET team = NULL WHERE id = $1", &[&id]).await.unwrap();
    let receipt = seeded(&mut client, &agents("")).await;
    let note =
        "1 of the 20 values that `team` draws are gone from `teams.id`: others are drawn in their place";
    assert!(receipt.notes.iter().any(|told| told == note), "{:?}", receipt.notes);
    let after = drawn(&client).await;
    let new: BTreeSet<&String> =
        first.iter().zip(&after).filter(|(old, _)| **old == gone).map(|(_, new)| new).collect();
    assert!(new.len() == 1 && !new.contains(&gone), "{new:?}");
    assert!(first.iter().zip(&after).all(|(old, new)| *old == gone || old == new));
    assert_eq!(seeded(&mut client, &agents("")).await.action, Action::NothingToDo);
    assert_eq!(drawn(&client).await, after);
}

#[tokio::test]
async fn rows_that_another_fixture_makes_first_are_drawn_from() {
    let mut client = with(TABLES).await;
    let text = "fixture: agents\ntable: agents\nrows: 40\nidentity: id\ncolumns:\n  id: \"a-{{ n }}\"\n  \
                team: { references: teams.id, sample: 30 }\n";
    let parents = "fixture: zz_teams\ntable: teams\nrows: 30\nidentity: id\ncolumns: { id: \"z-{{ n }}\" }\n";
    let both = Fixtures::compile([("agents.yaml", text), ("zz.yaml", parents)]).unwrap();
    assert_eq!(both.graph().fixtures[0].name, "zz_teams", "parents come first");
    let receipt = seeded(&mut client, &both).await;
    assert_eq!((receipt.name.as_str(), receipt.inserted), ("agents", 40));
    assert_eq!(number(&client, "SELECT count(*) FROM agents JOIN teams ON teams.id = team").await, 40);

    let names = BTreeSet::from(["agents"]);
    let graph = seeders::with_samples(&client, both.graph(), &names).await.unwrap().expect("it draws");
    let rows = seeders::RowSource::new(&graph, "agents", both.inputs(), receipt.base_micros).unwrap();
    for (at, team) in drawn(&client).await.iter().enumerate() {
        assert_eq!(rows.value(at as u64 + 1, "team").unwrap(), team.as_str());
    }
    let empty = with(TABLES).await;
    let error = seeders::with_samples(&empty, both.graph(), &names).await.unwrap_err();
    assert!(error.message.contains("what `team` draws from `teams` is not known"), "{}", error.message);
}

#[tokio::test]
async fn rows_that_did_not_drift_are_no_leftovers() {
    for policy in ["exact", "refresh"] {
        let mut client = with(&(TABLES.to_string() + &teams(1, 500))).await;
        let fixtures = agents(&format!("on_conflict: {policy}\n"));
        seeded(&mut client, &fixtures).await;
        let spoil = "UPDATE agents SET team = 't-0' WHERE id = 'a-7'; DELETE FROM agents WHERE id = 'a-8'";
        client.batch_execute(spoil).await.unwrap();
        let receipt = seeded(&mut client, &fixtures).await;
        assert_eq!((receipt.updated, receipt.inserted, receipt.deleted), (1, 1, 0), "{policy}");
        assert!(!receipt.notes.iter().any(|note| note.contains("earlier definition")), "{:?}", receipt.notes);
        assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 400, "{policy}");
    }
}
