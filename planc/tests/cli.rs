//! The command line: arguments, streams and exit codes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A test drives the program from outside.
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder of its own for one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("planc-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).expect("a file");
        name.to_string()
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_planc"));
        command.args(args).current_dir(&self.0).env_remove("CLICOLOR_FORCE").output().expect("planc runs")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const BROKEN: &str = "plan: demo\ntarget: {{ x }}\n";

#[test]
fn errors_are_printed_and_counted() {
    let folder = Folder::new("errors");
    let plan = folder.file("broken.yaml", BROKEN);
    let done = folder.run(&["check", &plan]);
    assert_eq!(done.status.code(), Some(1));
    let text = out(&done);
    assert!(text.contains("error[P0004]"), "{text}");
    assert!(text.contains("--> broken.yaml:2:9"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour into a pipe: {text}");
}

#[test]
fn json_is_one_object() {
    let folder = Folder::new("json");
    let plan = folder.file("broken.yaml", BROKEN);
    let done = folder.run(&["check", &plan, &plan, "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&out(&done)).expect("json");
    let first = &document["diagnostics"][0];
    assert_eq!((first["code"].as_str(), first["line"].as_u64()), (Some("P0004"), Some(2)));
    assert_eq!(document["summary"]["files"], 1);
    // The same file twice is one file.
    let all = document["diagnostics"].as_array().expect("a list");
    assert_eq!(all.iter().filter(|d| d["code"] == "P0004").count(), 1);
}

#[test]
fn github_annotations() {
    let folder = Folder::new("github");
    let plan = folder.file("broken.yaml", BROKEN);
    let text = out(&folder.run(&["check", &plan, "--format", "github"]));
    assert!(text.contains("::error file=broken.yaml,line=2,col=9,title=P0004 unquoted-template::"), "{text}");
}

#[test]
fn usage_and_unreadable_files_are_two() {
    let folder = Folder::new("usage");
    folder.file("latin.yaml", "");
    std::fs::write(folder.0.join("latin.yaml"), [b'a', b':', b' ', 0xe9]).expect("a file");
    for (args, told) in [
        (vec!["check"], "PLAN"),
        (vec!["check", "absent.yaml"], "cannot read `absent.yaml`"),
        (vec!["check", "latin.yaml"], "not UTF-8 text at byte 3"),
        (vec!["check", "absent.yaml", "--format", "xml"], "terminal"),
        (vec!["check", "absent.yaml", "--set", "novalue"], "NAME=VALUE"),
        (vec!["graph", "absent.yaml"], "cannot read `absent.yaml`"),
        (vec!["explain", "P9999"], "no diagnostic `P9999`"),
        (vec!["explain"], "required"),
        (vec!["chekc"], "check"),
    ] {
        let done = folder.run(&args);
        assert_eq!(done.status.code(), Some(2), "{args:?}");
        assert!(err(&done).contains(told), "{args:?}: {}", err(&done));
    }
}

#[test]
fn a_plan_with_errors_leaves_no_graph() {
    let folder = Folder::new("compile");
    let plan = folder.file("broken.yaml", BROKEN);
    let done = folder.run(&["compile", &plan, "-o", "out.json"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(err(&done).contains("error[P0004]"));
    let left: Vec<_> = std::fs::read_dir(&folder.0).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn explain_schema_completions() {
    let folder = Folder::new("explain");
    for (args, told) in [
        (vec!["explain", "P0004"], "unquoted-template"),
        (vec!["explain", "p0003"], "duplicate-key"),
        (vec!["explain", "yaml-syntax"], "yaml-syntax"),
        (vec!["explain", "--list"], "P0001  yaml-syntax"),
        (vec!["schema"], "\"$schema\""),
        (vec!["schema", "--of", "fixture"], "urn:planc:fixture"),
        (vec!["completions", "bash"], "_planc"),
        (vec!["check", "--help"], "Examples:"),
    ] {
        let done = folder.run(&args);
        assert_eq!(done.status.code(), Some(0), "{args:?}: {}", err(&done));
        assert!(out(&done).contains(told), "{args:?}");
    }
}
