//! What lints say beside their message: the plan's own numbers, and what to write instead.

mod support;

use support::Disk;

/// Codes of which the arithmetic is shown.
const SHOWN: [&str; 14] = [
    "P0408", "P0409", "P0415", "P0417", "P0418", "P0419", "P0420", "P0421", "P0422", "P0423", "P0428",
    "P0429", "P0430", "P0436",
];

#[test]
fn numbers_are_the_plans_own() {
    let mut out = String::new();
    let names = ["contradiction", "ends", "impossible", "redundant", "samples", "slack", "unreachable"];
    for name in
        names.into_iter().chain(["answers", "identities", "limits", "pool", "pool-decides", "token-times"])
    {
        let path = format!("tests/ui/{name}.yaml");
        let compilation = planc::check(&Disk, &path, &planc::Options::default());
        for found in compilation.diagnostics.into_sorted() {
            if !SHOWN.contains(&found.code.id) {
                continue;
            }
            out += &format!("{} {}\n", found.code.id, found.message);
            found.notes.iter().for_each(|note| out += &format!("  = {note}\n"));
            found.help.iter().for_each(|help| out += &format!("  > {help}\n"));
        }
    }
    insta::assert_snapshot!(out);
}
