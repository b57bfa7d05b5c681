//! Graphs for tests, written as short as a plan would be.

use planc::diagnostic::Diagnostics;
use planc::expr::{Template, parse_template};
use planc::graph::*;
use planc::source::{FileId, Span};
use planc::units::PartsPerMillion;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn template(text: &str) -> Template {
    let mut diagnostics = Diagnostics::default();
    let place = |range: std::ops::Range<usize>| Span {
        file: FileId(0),
        start: range.start as u32,
        end: range.end as u32,
    };
    parse_template(text, &place, &mut diagnostics).expect("a template of a test parses").value
}

/// JSON with slots in its texts.
pub(crate) fn slots(value: Json) -> JsonTemplate {
    match value {
        Json::String(text) => {
            let template = template(&text);
            match (template.as_literal(), template.segments.as_slice()) {
                (Some(_), _) => JsonTemplate::Const(Json::String(text)),
                (None, [Segment::Slot(expr)]) => JsonTemplate::Value(expr.clone()),
                _ => JsonTemplate::Text(template),
            }
        }
        Json::Array(items) => JsonTemplate::List(items.into_iter().map(slots).collect()),
        Json::Object(map) => JsonTemplate::Map(map.into_iter().map(|(k, v)| (k, slots(v))).collect()),
        other => JsonTemplate::Const(other),
    }
}

pub(crate) fn value(json: Json) -> Generator {
    Generator::Value(slots(json))
}

pub(crate) fn before(text: &str) -> Generator {
    Generator::BeforeNow(template(text))
}

pub(crate) fn weighted(pairs: &[(&str, u32)]) -> Generator {
    Generator::Weighted(
        pairs.iter().map(|(v, weight)| WeightedValue { value: json!(v), weight: *weight }).collect(),
    )
}

pub(crate) struct Build {
    pub(crate) fixture: Fixture,
}

/// A table fixture with `refresh`, to be changed by the methods below.
pub(crate) fn fixture(name: &str, rows: u64, identity: &str, columns: Vec<(&str, Generator)>) -> Build {
    let column = |(name, generator): (&str, Generator)| (name.to_string(), Column::of(generator));
    let identity = identity.split(' ').map(String::from).collect();
    let table = TableFixture {
        on_conflict: OnConflict::Refresh,
        ..TableFixture::kept(name.into(), identity, columns.into_iter().map(column).collect())
    };
    Build {
        fixture: Fixture {
            name: name.into(),
            fixture: name.into(),
            about: String::new(),
            rows,
            children: None,
            after: Vec::new(),
            kind: FixtureKind::Table(table),
            verify: Vec::new(),
        },
    }
}

impl Build {
    fn change(mut self, change: impl FnOnce(&mut TableFixture)) -> Build {
        let FixtureKind::Table(table) = &mut self.fixture.kind else { panic!("a table") };
        change(table);
        self
    }

    pub(crate) fn policy(self, policy: OnConflict) -> Build {
        self.change(|table| table.on_conflict = policy)
    }

    pub(crate) fn append_only(self) -> Build {
        self.change(|table| table.append_only = true)
    }

    pub(crate) fn adopt(self) -> Build {
        self.change(|table| table.adopt = true)
    }

    pub(crate) fn skip_foreign_key_triggers(self) -> Build {
        self.change(|table| table.skip_foreign_key_triggers = true)
    }

    pub(crate) fn rebuild_indexes(self) -> Build {
        self.change(|table| table.rebuild_indexes = true)
    }

    pub(crate) fn fresh(self, name: &str, seconds: u64) -> Build {
        self.change(|table| {
            let column = table.columns.get_mut(name).unwrap();
            column.fresh_within = Some(Duration::from_secs(seconds));
            column.volatile = true;
        })
    }

    pub(crate) fn volatile(self, name: &str) -> Build {
        self.change(|table| table.columns.get_mut(name).unwrap().volatile = true)
    }

    pub(crate) fn verify(mut self, sql: &str, wanted: Json) -> Build {
        self.fixture.verify.push(Check {
            name: sql.into(),
            probe: Probe::Sql { statement: template(sql) },
            expect: vec![Expectation {
                name: "value".into(),
                what: Expected::Value(Matcher::Equals(slots(wanted))),
            }],
            within: None,
            fix: None,
            override_env: None,
            static_guard: false,
            skipped: None,
        });
        self
    }

    pub(crate) fn alone(self) -> ExecutionGraph {
        graph(vec![self.fixture])
    }
}

pub(crate) fn graph(fixtures: Vec<Fixture>) -> ExecutionGraph {
    ExecutionGraph {
        schema: SCHEMA,
        plan: "test".into(),
        about: String::new(),
        profile: "default".into(),
        seed: 42,
        inputs: BTreeMap::new(),
        open_inputs: BTreeMap::new(),
        target: None,
        database: None,
        pool: None,
        template: false,
        guards: Vec::new(),
        services: Vec::new(),
        fixtures,
        tokens: BTreeMap::new(),
        preflight: Vec::new(),
        metrics: BTreeMap::new(),
        scrapes: BTreeMap::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        teardown_commands: Vec::new(),
        scenarios: Vec::new(),
        gates: Vec::new(),
        sql_gates: Vec::new(),
        triage: Vec::new(),
        health: HealthLimits {
            lateness_p99: Duration::ZERO,
            achieved: PartsPerMillion(0),
            strains: Strains::default(),
        },
        report: Report::default(),
        when_to_run: None,
        history: None,
    }
}

pub(crate) const AGENTS: &str = "CREATE TABLE agents (id text PRIMARY KEY, hostname text NOT NULL, status text NOT NULL, \
    os text NOT NULL, seen timestamptz, hits int NOT NULL DEFAULT 0)";

/// The agents of most tests: `seen` is fresh within a minute, `hits` is the load's own.
pub(crate) fn agents(rows: u64) -> Build {
    fixture(
        "agents",
        rows,
        "id",
        vec![
            ("id", value(json!("ag-{{ n | pad(5) }}"))),
            ("hostname", value(json!("{{ id }}.fleet.example.test"))),
            ("status", value(json!("Online"))),
            ("os", weighted(&[("darwin", 10), ("linux", 80), ("windows", 10)])),
            ("seen", before("{{ n % 60 }}s")),
        ],
    )
    .fresh("seen", 60)
}
