//! Words, hashes and ordered UUIDs: golden values, what they promise, and that real verifiers take the hashes.

use crate::build::*;
use crate::harness::*;
use argon2::password_hash::PasswordVerifier;
use planc::graph::*;
use seeders::{Inputs, RowSource};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Command;

fn one(generator: Generator, rows: u64) -> RowSource {
    let graph = fixture("a", rows, "x", vec![("x", generator)]).alone();
    let inputs = Inputs::from([("inputs.pepper".to_string(), json!("Jefe"))]);
    RowSource::new(&graph, "a", &inputs, BASE).unwrap()
}

fn text_of(source: &RowSource, n: u64) -> String {
    source.value(n, "x").unwrap().as_str().unwrap().to_string()
}

fn fake(kind: Fake, numbered: bool) -> Generator {
    Generator::Fake { kind, numbered }
}

/// The lists are another crate's: one that changes changes everybody's rows, and asks for another generator version.
#[test]
fn golden_words() {
    let row: Vec<String> = Fake::NAMES
        .iter()
        .map(|(name, kind)| format!("{name}: {}", text_of(&one(fake(*kind, false), 9), 7)))
        .collect();
    let numbered = Fake::NAMES.iter().filter(|(_, kind)| kind.most().is_some());
    let numbered: Vec<String> = numbered
        .map(|(name, kind)| format!("{name} 7: {}", text_of(&one(fake(*kind, true), 9), 7)))
        .collect();
    let got = format!("{}\n{}\n", row.join("\n"), numbered.join("\n"));
    assert_eq!(got, include_str!("golden_words.txt"), "rows are for ever:\n{got}");
}

#[test]
fn numbered_words_are_all_different_and_lead_nowhere() {
    for (name, kind) in Fake::NAMES {
        for numbered in [false, true].into_iter().filter(|numbered| !numbered || kind.most().is_some()) {
            let source = one(fake(kind, numbered), 20_000);
            let all: Vec<String> = (1..=20_000).map(|n| text_of(&source, n)).collect();
            let different: BTreeSet<&String> = all.iter().collect();
            assert!(!numbered || different.len() == all.len(), "{name}");
            assert!(different.len() > 15, "{name}: {different:?}");
            for text in &all {
                assert!(!text.is_empty() && text.trim() == text, "{name}: `{text}`");
                match kind {
                    Fake::Email | Fake::Host | Fake::Domain => {
                        assert!(text.ends_with("example.test"), "{text}")
                    }
                    Fake::Ipv4 => assert!(text.parse::<std::net::Ipv4Addr>().unwrap().is_private(), "{text}"),
                    Fake::Ipv6 => {
                        assert!(text.parse::<std::net::Ipv6Addr>().unwrap().is_unique_local(), "{text}")
                    }
                    Fake::Phone => {
                        assert!(text.starts_with("+1-") && text[6..].starts_with("-555-01"), "{text}")
                    }
                    _ => {}
                }
            }
        }
    }
    let error = one(fake(Fake::Phone, true), 90_000).value(80_001, "x").unwrap_err();
    assert_eq!(error.message, "no more values can be told apart");
}

#[test]
fn version_7_is_in_the_order_of_rows_and_hangs_on_no_clock() {
    let graph = fixture("a", 5_000, "x", vec![("x", Generator::UuidV7)]).alone();
    let at = |base| RowSource::new(&graph, "a", &Inputs::new(), base).unwrap();
    let (source, later) = (at(BASE), at(BASE + 86_400_000_000));
    let mut before = String::new();
    for n in 1..=5_000 {
        let text = text_of(&source, n);
        let id = uuid::Uuid::parse_str(&text).unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122), "{text}");
        assert!(before < text, "{before} {text}");
        assert_eq!(text_of(&later, n), text);
        before = text;
    }
}

#[test]
fn digests_are_those_of_the_standards() {
    let sha =
        |text: &str, key: Option<&str>| Generator::Sha256 { text: template(text), key: key.map(template) };
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(text_of(&one(sha("abc", None), 1), 1), abc);
    // RFC 4231, test case 2.
    let mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(text_of(&one(sha("what do ya want for nothing?", Some("{{ inputs.pepper }}")), 1), 1), mac);
    let each = one(sha("key-{{ n }}", None), 3);
    assert_ne!(text_of(&each, 1), text_of(&each, 2));
}

/// perl's `crypt` is the C library's, as a service in C, PHP or Python would have it.
#[test]
fn passwords_are_hashed_once_and_real_verifiers_take_them() {
    let password = |scheme| Generator::Password { text: template("{{ inputs.pepper }} 123"), scheme };
    let source = one(password(PasswordScheme::Bcrypt { cost: 5 }), 1_000_000);
    let hash = text_of(&source, 1);
    assert!(hash.starts_with("$2b$05$") && hash.len() == 60, "{hash}");
    assert_eq!(text_of(&source, 1_000_000), hash, "one for all rows");
    assert_eq!(text_of(&one(password(PasswordScheme::Bcrypt { cost: 5 }), 1), 1), hash, "and for every run");
    let verifies = |password: &str| {
        let script = "print crypt($ARGV[0], $ARGV[1]) eq $ARGV[1] ? 'yes' : 'no'";
        let asked = Command::new("perl").args(["-e", script, password, &hash]).output();
        String::from_utf8(asked.expect("perl is there: apt-get install perl-base").stdout).unwrap()
    };
    assert_eq!((verifies("Jefe 123").as_str(), verifies("Jefe 124").as_str()), ("yes", "no"));
    let hash = text_of(&one(password(PasswordScheme::Argon2id { memory: 64, passes: 2 }), 1), 1);
    let verifier = argon2::Argon2::default();
    assert!(verifier.verify_password(b"Jefe 123", hash.as_str()).is_ok(), "{hash}");
    assert!(verifier.verify_password(b"Jefe 124", hash.as_str()).is_err(), "{hash}");
}

/// Hexadecimal where the column is text, bytes where it is bytes, in binary and in text COPY alike.
#[tokio::test]
async fn hashes_arrive_as_the_column_wants_them() {
    let digest = || Generator::Sha256 { text: template("abc"), key: None };
    for more in ["int", "int4range"] {
        let sql = format!(
            "CREATE TABLE keys (id int PRIMARY KEY, hex text, raw bytea, at uuid, ip inet, mac macaddr, more {more})"
        );
        let mut client = with(&sql).await;
        let graph = fixture(
            "keys",
            3,
            "id",
            vec![
                ("id", value(json!("{{ n }}"))),
                ("hex", digest()),
                ("raw", digest()),
                ("at", Generator::UuidV7),
                ("ip", fake(Fake::Ipv4, true)),
                ("mac", fake(Fake::Mac, true)),
                ("more", value(json!(null))),
            ],
        )
        .alone();
        seed(&mut client, &graph).await;
        let same = "SELECT count(*) FROM keys WHERE encode(raw, 'hex') = hex AND raw = sha256('abc') AND ip <<= '10.0.0.0/8'";
        assert_eq!(number(&client, same).await, 3, "{more}");
        assert_eq!(seed(&mut client, &graph).await.action, seeders::Action::NothingToDo);
    }
}

/// What a file says in words, the database reads as the column's type; rows that a file lost go with `exact`.
#[tokio::test]
async fn fields_of_files_become_what_the_columns_are() {
    let mut client = with(
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(8,2), ok boolean, at timestamptz, note text)",
    )
    .await;
    let records = |rows: &[[&str; 5]]| {
        let field = |at: usize| {
            let value = |row: &[&str; 5]| if row[at].is_empty() { Json::Null } else { json!(row[at]) };
            Generator::Record(rows.iter().map(value).collect())
        };
        let columns = vec![
            ("id", field(0)),
            ("price", field(1)),
            ("ok", field(2)),
            ("at", field(3)),
            ("note", field(4)),
        ];
        fixture("t", rows.len() as u64, "id", columns).policy(OnConflict::Exact).alone()
    };
    let rows = [["1", "9.50", "true", "2026-11-21T10:00:00Z", "a"], ["2", "-3", "FALSE", "2026-11-21", ""]];
    seed(&mut client, &records(&rows)).await;
    let told = text(&client, "SELECT id, price, ok, at AT TIME ZONE 'UTC', note FROM t ORDER BY id").await;
    assert_eq!(told, "(1,9.50,t,\"2026-11-21 10:00:00\",a); (2,-3.00,f,\"2026-11-21 00:00:00\",)");
    assert_eq!(seed(&mut client, &records(&rows[1..])).await.deleted, 1);
    let error =
        seed_with(&mut client, &records(&[["3", "dear", "true", "", ""]]), &options()).await.unwrap_err();
    assert!(error.to_string().contains("the text `dear` is not a plain decimal number"), "{error}");
}

const PEOPLE: &str = "email,age,team\nada@example.test,36,red\nbob@example.test,,blue\n";

const MEMBERS: &str = r#"
fixture: members
table: members
rows_from: data/people.csv
identity: email
columns:
  id: { uuid: v7 }
  greeting: "hello {{ email }} of {{ team | upper }}"
  password: { bcrypt: secret, cost: 4 }
"#;

const VISITS: &str = r#"
fixture: visits
table: visits
children: { of: members, each: { from: 1, to: 9 } }
identity: [email, visit]
columns:
  email: "{{ parent.email }}"
  visit: "{{ child }}"
  ip: { fake: ipv4, unique: true }
"#;

/// From files to rows: what the compiler reads is what the database holds, with another seed too.
#[tokio::test]
async fn files_relations_and_words_from_yaml_to_table() {
    let mut client = with(
        "CREATE TABLE members (id uuid, email text PRIMARY KEY, age int, team text, greeting text, password text); \
         CREATE TABLE visits (email text REFERENCES members, visit int, ip inet, PRIMARY KEY (email, visit))",
    )
    .await;
    let texts = || [("m.yaml", MEMBERS), ("v.yaml", VISITS), ("data/people.csv", PEOPLE)];
    let fixtures = seeders::Fixtures::compile(texts()).unwrap();
    seeders::apply(&mut client, &fixtures).await.unwrap();
    let told =
        text(&client, "SELECT email, age, greeting, password LIKE '$2b$04$%' FROM members ORDER BY id").await;
    assert_eq!(
        told,
        "(ada@example.test,36,\"hello ada@example.test of RED\",t); (bob@example.test,,\"hello bob@example.test of BLUE\",t)"
    );
    let visits = fixtures.graph().fixture("visits").unwrap().rows;
    assert_eq!(number(&client, "SELECT count(*) FROM visits").await as u64, visits);
    let counts: BTreeSet<u64> = (1..20)
        .map(|seed| {
            let other = seeders::FixtureOptions::default().seed(seed).compile(texts()).unwrap();
            let rows = other.graph().fixture("visits").unwrap().rows;
            assert!(other.rows("visits", BASE).unwrap().row(rows).is_ok());
            rows
        })
        .collect();
    assert!(counts.len() > 3, "{counts:?}");
    let torn = [("m.yaml", MEMBERS), ("data/people.csv", "email,age\nada,1\nbob\n")];
    let told = seeders::Fixtures::compile(torn).unwrap_err().to_string();
    assert!(
        told.contains("data/people.csv:3:1") && told.contains("1 field here, and the header names 2"),
        "{told}"
    );
}
