//! The README's commands are run, as written, in its order.

use tests::{binary, root, run};

/// The lines of all `sh` blocks.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line.trim()) {
            (false, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, command) if !command.is_empty() => found.push(command.to_owned()),
            _ => {}
        }
    }
    assert!(!inside, "a block is not closed");
    found
}

#[test]
fn every_command_of_the_readme_works() {
    let _alone = tests::alone();
    let commands = commands();
    assert!(commands.len() >= 7, "{commands:?}");
    let folder = binary("runner").parent().expect("a folder").to_owned();
    let shop = tests::Database::start("shop_test");
    shop.execute(&std::fs::read_to_string(root().join("fixtures/shop/schema.sql")).expect("a schema"));
    for line in commands {
        // This very process is a part of `bin/test`; .ci/run calls it.
        if line == "bin/test" {
            let ci = std::fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
            assert!(ci.lines().any(|l| l.trim() == "bin/test"), ".ci/run does not call bin/test");
            continue;
        }
        // The debug build stands in for the release build; everything else is as written.
        let mut text = line.replace("target/release/", &format!("{}/", folder.display()));
        if text.contains("runner apply plans/certctl") {
            text.push_str(&format!(" --set server={}/proving-ground", folder.display()));
        }
        if line == "bin/quickstart" || text.contains("runner apply") {
            // Tests share the machine with other tests: a start may be later than on a quiet one.
            text.push_str(" --set lateness=250ms");
        }
        let mut command = tests::command("runner");
        let environment: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        command = std::process::Command::new("sh");
        command.args(["-c", &text]).current_dir(root()).env_clear().env("PLANC_PROFILE", "dev");
        for (key, value) in environment {
            if let Some(value) = value {
                command.env(key, value);
            }
        }
        if text.contains("$DATABASE_URL") {
            command.env("DATABASE_URL", &shop.url);
        }
        for name in ["CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // cargo and rustup look below the real home.
        if let Some(home) = std::env::var_os("HOME") {
            let home = std::path::PathBuf::from(home);
            if std::env::var_os("CARGO_HOME").is_none() {
                command.env("CARGO_HOME", home.join(".cargo"));
            }
            if std::env::var_os("RUSTUP_HOME").is_none() {
                command.env("RUSTUP_HOME", home.join(".rustup"));
            }
        }
        let said = run(&mut command);
        assert_eq!(said.code, 0, "`{line}`\n{}", said.all());
    }
}

#[test]
fn the_outputs_in_the_readme_are_what_is_printed() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let mut seen = 0;
    for part in text.split("<!-- output: planc ").skip(1) {
        let (arguments, rest) = part.split_once(" -->").expect("a closed comment");
        let shown = rest.split("```text\n").nth(1).and_then(|r| r.split("```").next()).expect("a block");
        let said = tests::planc(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(
            said.out.trim(),
            shown.trim(),
            "`planc {arguments}` prints something else than the README shows"
        );
        seen += 1;
    }
    assert!(seen >= 1);
}
