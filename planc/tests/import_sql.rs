//! `planc import sql`: what hand-written seeds become, and what is told of the rest.

mod support;

use planc::import::{ImportedSql, sql};
use support::{Disk, Text, options};

fn imported(file: &str) -> ImportedSql {
    sql(&Disk, &[format!("tests/data/seed/{file}")])
}

/// The fixtures, and the findings below them.
fn told(done: &ImportedSql) -> String {
    let mut out: String =
        done.fixtures.iter().map(|one| format!("{}.yaml\n{}\n", one.name, one.text)).collect();
    for finding in done.diagnostics.clone().into_sorted() {
        let file = done.sources.file(finding.primary.span.file);
        let (line, column) = file.line_column(finding.primary.span.start as usize);
        out.push_str(&format!("{line}:{column} {} {}\n", finding.code.id, finding.message));
    }
    out
}

#[test]
fn the_seeds_of_a_load_test_become_fixtures_that_planc_takes() {
    for (file, snapshot) in [("certificates.sql", "certificates")] {
        let done = imported(file);
        let found = planc::compile_fixture(&Text(&done.fixtures[0].text), "plan.yaml", &options());
        assert_eq!(found.diagnostics.iter().count(), 0, "{file}");
        insta::assert_snapshot!(snapshot, told(&done));
    }
}

#[test]
fn what_has_no_word_is_told_at_its_place_and_stands_as_a_comment() {
    insta::assert_snapshot!("odd", told(&imported("odd.sql")));
}

#[test]
fn nothing_in_a_script_makes_it_panic() {
    for text in [
        "",
        ";",
        "insert",
        "insert into t (a) values ()",
        "insert into t (a) select",
        "insert into t (a) values ('{{ n }}')",
        "insert into t (a) select g from generate_series(1, 0) g",
        "insert into t (a) select g from generate_series(1, 5, 0) g",
        "insert into t (a) select -9223372036854775808 from generate_series(-9223372036854775808, 9223372036854775807) g",
        "insert into t (a) select now() + interval '' from generate_series(1, 2) g",
        "insert into t (a, b) values (1)",
        "insert into t (ä) values ('ö')",
        "insert into t (a) values ('a', ) $$",
        "insert into t (a) select (array[1])[random()] from generate_series(1, 2) g",
        "insert into t default values",
    ] {
        let done = sql(&Text(text), &["plan.yaml".to_string()]);
        for one in &done.fixtures {
            assert!(one.text.contains("fixture: t"), "{text}: {}", one.text);
        }
        assert!(done.fixtures.len() + done.diagnostics.iter().count() > 0 || text.len() < 2, "{text}");
    }
}
