//! A code's page is a test: its wrong example gives exactly this code, its right one nothing.

mod support;

use support::check_with;

/// Pages that no plan alone can show.
const WITHOUT_EXAMPLES: [&str; 4] = ["bad-json", "unknown-profile", "too-large", "not-imported"];

#[test]
fn wrong_examples_give_their_code_and_right_ones_nothing() {
    let mut problems = Vec::new();
    for page in planc::pages() {
        assert!(page.text.starts_with(&format!("# {} ({})\n", page.name, page.code)), "{}", page.name);
        // Pages on YAML and expressions show fragments and are held by their own tests.
        let of_reading = page.code < "P0100" || ("P0200".."P0210").contains(&page.code);
        // Pages on changes show a before and an after: tests/diff.rs.
        let of_change = ("P0500".."P0600").contains(&page.code);
        // Those on the live database are held against one in tests/tests/live.rs.
        let of_the_world = page.code >= "P0900";
        if of_change || of_reading || of_the_world || WITHOUT_EXAMPLES.contains(&page.name) {
            continue;
        }
        let text = |part: &'static str| part.split("```").next().unwrap_or("");
        let parts = page.text.split("```yaml\n").skip(1);
        // The file that an example names `seed.sql` stands below it.
        let examples: Vec<(&str, &str)> =
            parts.map(|e| (text(e), e.split("```sql\n").nth(1).map_or("", text))).collect();
        let [(wrong, wrong_sql), (right, right_sql)] = *examples.as_slice() else {
            panic!("{} needs a wrong and a right example", page.name)
        };
        let told = check_with(wrong, wrong_sql);
        let codes: Vec<&str> = told.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        if codes.is_empty() || codes.iter().any(|code| *code != page.code) {
            problems.push(format!("{} wrong:\n{wrong}{told}", page.name));
        }
        let told = check_with(right, right_sql);
        if !told.is_empty() {
            problems.push(format!("{} right:\n{right}{told}", page.name));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn codes_are_unique_and_sorted() {
    let codes: Vec<&str> = planc::pages().iter().map(|page| page.code).collect();
    assert!(codes.is_sorted() && codes.windows(2).all(|pair| pair[0] != pair[1]), "{codes:?}");
}
