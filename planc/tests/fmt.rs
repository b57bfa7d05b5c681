//! `planc fmt`: what it settles, what it leaves, and that nothing ever means something else.
#![allow(clippy::disallowed_methods)] // Tests read files.

use planc::fmt::{Refusal, format};
use std::path::{Path, PathBuf};

fn formatted(text: &str) -> String {
    match format("plan.yaml", text) {
        Ok(out) => out,
        Err(Refusal::Changed) => panic!("would change what this says:\n{text}"),
        Err(Refusal::Broken { diagnostics, .. }) => panic!("{diagnostics:?}\n{text}"),
    }
}

/// The text formatted, and formatted again to the same.
fn stable(text: &str) -> String {
    let once = formatted(text);
    assert_eq!(formatted(&once), once, "formatting again changes it:\n{once}\nfrom\n{text}");
    once
}

#[test]
fn layout_is_settled() {
    for (given, wanted) in [
        // Blanks between tokens.
        ("a:   1\nb:  [ 1,2 ,  3 ]\nc: {a: 1,b: {  }}\n", "a: 1\nb: [1, 2, 3]\nc: { a: 1, b: {} }\n"),
        ("{a: 1}\n", "{a: 1}\n"),
        ("a: {\"b\":1, ? c : d, e: , f}\n", "a: { \"b\": 1, c: d, e, f }\n"),
        ("a: [b: c, d: ]\n", "a: [b: c, d: ]\n"),
        // Indentation.
        ("a:\n    b:\n    - c\n    -   d: 1\n        e: 2\n", "a:\n  b:\n    - c\n    - d: 1\n      e: 2\n"),
        ("a:\n- - b\n  - c\n-\n  - d\n", "a:\n  - - b\n    - c\n  - - d\n"),
        ("- a\n-\n- b: 1\n", "- a\n-\n- b: 1\n"),
        // Empty lines: one at most, none at the start of a block.
        ("\n\na: 1\n\n\n\nb:\n\n  c: 1\n\n\n", "a: 1\n\nb:\n  c: 1\n"),
        ("a: 1\n\n-   \n".replace("\n-   ", "").as_str(), "a: 1\n"),
        ("-\n  a: 1\n\n-\n  b: 1\n", "- a: 1\n\n- b: 1\n"),
        // Ends of lines and of the file.
        ("\u{feff}a: 1  \r\nb: |\r\n  x\r\n\r\n", "a: 1\nb: |\n  x\n"),
        ("a: 1", "a: 1\n"),
        // Values that start on a line of their own.
        ("a:\n  1\nb:\n  [1,\n   2]\n", "a: 1\nb: [1, 2]\n"),
        ("%YAML 1.2\n# top\n---  # doc\na: 1\n...\n# end\n", "# top\n%YAML 1.2\n--- # doc\na: 1\n# end\n"),
        ("? a\n: b\n? |\n  k\n: 1\n", "a: b\n\"k\\n\": 1\n"),
    ] {
        assert_eq!(stable(given), wanted, "{given}");
    }
}

#[test]
fn comments_stay_with_what_they_belong_to() {
    for (given, wanted) in [
        ("# top\n\n# of a\na: 1   # one\n", "# top\n\n# of a\na: 1   # one\n"),
        // Deeper than what follows: the end of the block above.
        ("a:\n    b: 1\n    # no c\n# of d\nd: 1\n", "a:\n  b: 1\n  # no c\n# of d\nd: 1\n"),
        ("a:\n- b\n# of c\nc: 1\n  # odd\n", "a:\n  - b\n# of c\nc: 1\n# odd\n"),
        ("a:\n  - b: 1\n    # in b\n  # in a\n", "a:\n  - b: 1\n    # in b\n  # in a\n"),
        // Columns are kept where there is room, and move with their block.
        ("a:\n    b: 1      # x\n    cc: 12345  # y\n", "a:\n  b: 1      # x\n  cc: 12345  # y\n"),
        ("a:   1  # x\nbc:  2  # y\n", "a: 1    # x\nbc: 2   # y\n"),
        // Between a key and its value.
        ("a: # of a\n  b: 1\n", "a: # of a\n  b: 1\n"),
        ("a: # why\n  1\n", "a: 1 # why\n"),
        ("a:\n  # why\n  1 # one\n", "# why\na: 1 # one\n"),
        ("a: # why\n  1 # one\n", "# why\na: 1 # one\n"),
        ("- # of b\n  b: 1\n", "# of b\n- b: 1\n"),
        ("a: | # text\n  x\n# of b\nb: 1\n", "a: | # text\n  x\n# of b\nb: 1\n"),
        ("a: &x # anchored\n  b: 1\nc: *x # alias\n", "a: &x # anchored\n  b: 1\nc: *x # alias\n"),
        // Between brackets: these become a block.
        ("a: [ # all\n  1, # one\n  # two\n  2\n]\n", "a: # all\n  - 1 # one\n  # two\n  - 2\n"),
        (
            "a: { b: 1, # one\n  c: 2\n  # end\n} # out\nd: 1\n",
            "a:\n  b: 1 # one\n  c: 2\n  # end\n  # out\nd: 1\n",
        ),
        ("a: [] # none\nb: { # nothing\n}\n", "a: [] # none\nb: {} # nothing\n"),
        ("# only\n\n\n# comments\n", "# only\n\n# comments\n"),
    ] {
        assert_eq!(stable(given), wanted, "{given}");
    }
}

#[test]
fn values_are_left_as_they_are() {
    for (given, wanted) in [
        ("a: 'x'\nb: \"y\\tz\"\nc: 5_000\nd: 0x1F\ne: ~\nf: null\n", ""),
        ("a: &x { b: 1 }\nc:\n  <<: *x\n  d: !!str 5\ne: &y !!map\n  f: 1\n", ""),
        ("a: &x\nb: [&y, *x]\n- &z\n".replace("- &z\n", "").as_str(), ""),
        // Block scalars move with their block and are the same below.
        (
            "a:\n      b: |\n           x\n             y\n\n           z\n      c: >-\n           p\n           q\n",
            "a:\n  b: |\n    x\n      y\n\n    z\n  c: >-\n    p\n    q\n",
        ),
        ("a: |+\n  x\n\n\nb: |2-\n    x\n   y\n", ""),
        ("a: |+\n\n\n  x\n\n\n\n# of b\nb: |\nc: |-\n\n", "a: |+\n\n\n  x\n\n\n\n# of b\nb: |\nc: |-\n"),
        ("- |\n x\n- - >\n   y\n", "- |\n  x\n- - >\n    y\n"),
        // Texts of several lines keep their lines.
        ("a: b\n     c\n\n     d\ne: \"f\n g\"\n", "a: b\n  c\n\n  d\ne: \"f\n  g\"\n"),
        ("- 'a\n\n   b'\n", "- 'a\n\n  b'\n"),
        ("a: { b: \"c\n  d\" }\n", "a:\n  b: \"c\n    d\"\n"),
    ] {
        assert_eq!(stable(given), if wanted.is_empty() { given } else { wanted }, "{given}");
    }
}

#[test]
fn what_is_too_long_becomes_a_block() {
    let long = "x".repeat(96);
    let given = format!("a: {{ b: 1, c: {{ d: {long} }} }}  # why\ne:\n  - [f, {long}, ghijklm]\n");
    let wanted =
        format!("a: # why\n  b: 1\n  c: {{ d: {long} }}\ne:\n  - - f\n    - {long}\n    - ghijklm\n");
    assert_eq!(stable(&given), wanted);
    // A comment behind a list's entry that becomes a block.
    let given = format!("- {{ b: 1, c: {long}, d: 1234 }}   # why\n- {{ e: \"f\n  {long}\" }} # how\n");
    let wanted = format!("- b: 1 # why\n  c: {long}\n  d: 1234\n# how\n- e: \"f\n    {long}\"\n");
    assert_eq!(stable(&given), wanted);
    let given = format!("a: {long}{long}\nb: {{ c: 1 }}\n");
    assert_eq!(stable(&given), given);
    let key = "k".repeat(1100);
    let given = format!("? {key}\n: 1\nb: {{ ? {key} : [2] }}\n");
    assert_eq!(stable(&given), format!("? {key}\n: 1\nb:\n  ? {key}\n  : [2]\n"));
    // As long as a line may be, and one more.
    let fits = format!("a: [b, {}]\n", "c".repeat(110 - 8));
    assert_eq!(stable(&fits), fits);
    assert_ne!(stable(&fits.replace("cc", "ccc")), fits.replace("cc", "ccc"));
}

#[test]
fn broken_files_are_left_alone() {
    for text in ["a: {{ x }}\n", "a: 1\na: 2\n", "a: [1\n", "a:\n\tb: 1\n", "a: 1\n---\nb: 1\n", "a: *x\n"] {
        assert!(matches!(format("plan.yaml", text), Err(Refusal::Broken { .. })), "{text}");
    }
}

/// The YAML files below a folder.
fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => yaml_files(&path, found),
            false if path.extension().is_some_and(|e| e == "yaml") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn what_ships_is_formatted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["plans", "fixtures", "tests/plans", "tests/bench"] {
        yaml_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 8, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file");
        match format("plan.yaml", &text) {
            Ok(out) => assert_eq!(out, text, "{}: run planc fmt", file.display()),
            Err(Refusal::Changed) => panic!("{}: would mean something else", file.display()),
            // A plan that shows mistakes in its YAML.
            Err(Refusal::Broken { .. }) => assert!(file.ends_with("six-mistakes.yaml"), "{}", file.display()),
        }
    }
}
