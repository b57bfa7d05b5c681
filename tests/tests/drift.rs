//! `runner seed` on a table that others write to as well: what differs is told row by row, what is not ours is left alone.

use tests::{Database, Out, Said, command, run};

const NODES: &str = "fixture: nodes\ntable: nodes\nrows: 40\nidentity: id\n\
    columns: { id: \"node-{{ n | pad(3) }}\", status: Online }\n";

struct Nodes {
    database: Database,
    folder: Out,
}

impl Nodes {
    fn new() -> Nodes {
        let database = Database::start("nodes_test");
        database.execute("CREATE TABLE nodes (id text PRIMARY KEY, status text NOT NULL)");
        let folder = Out::new();
        std::fs::write(folder.path().join("nodes.yaml"), NODES).expect("written");
        Nodes { database, folder }
    }

    fn seed(&self, arguments: &[&str]) -> Said {
        let mut command = command("runner");
        command.arg("seed").arg(self.folder.path().join("nodes.yaml"));
        command.args(["--database-url", &self.database.url]).args(arguments);
        run(&mut command)
    }
}

#[test]
fn drift_is_told_mended_and_gone() {
    let nodes = Nodes::new();
    nodes.seed(&[]).expect_code(0).expect("40 inserted").expect("the role `postgres` is a superuser");
    nodes.seed(&["--verify"]).expect_code(0).expect("verified");
    nodes.database.execute(
        "UPDATE nodes SET status = 'Lost' WHERE id = 'node-007'; DELETE FROM nodes WHERE id = 'node-009'",
    );
    let changed = "`node-007` (row 7): status is `Lost`, not `Online`";
    nodes
        .seed(&["--verify"])
        .expect_code(114)
        .expect("1 row missing, 1 row changed")
        .expect(changed)
        .expect("`node-009` (row 9) is missing");
    nodes.seed(&[]).expect_code(0).expect("1 inserted, 1 refreshed").expect("mended:").expect(changed);
    nodes.seed(&["--verify"]).expect_code(0).expect("verified");
}

#[test]
fn more_rows_of_others_than_allowed_are_refused_before_anything_is_written() {
    let nodes = Nodes::new();
    nodes.database.execute("INSERT INTO nodes SELECT 'theirs-' || n, 'x' FROM generate_series(1, 12) n");
    nodes
        .seed(&["--max-foreign-rows", "11"])
        .expect_code(113)
        .expect("`nodes` holds 12 rows that are not ours, at most 11 are allowed")
        .expect("raise `--max-foreign-rows`");
    assert_eq!(nodes.database.value("SELECT count(*) FROM nodes"), "12");
    nodes.seed(&["--max-foreign-rows", "12"]).expect_code(0).expect("40 inserted");
    nodes.seed(&["--max-foreign-rows", "12"]).expect_code(0).expect("nothing to do");
}

#[test]
fn a_reset_takes_ours_alone_and_names_what_holds_on() {
    let nodes = Nodes::new();
    nodes.database.execute("INSERT INTO nodes VALUES ('theirs', 'x')");
    nodes.seed(&[]).expect_code(0);
    nodes
        .database
        .execute("CREATE TABLE jobs (node text REFERENCES nodes); INSERT INTO jobs VALUES ('node-001')");
    nodes.seed(&["--reset"]).expect_code(114).expect("1 row of `jobs` refers to them (`jobs_node_fkey`)");
    assert_eq!(nodes.database.value("SELECT count(*) FROM nodes"), "41");
    nodes.database.execute("DELETE FROM jobs");
    nodes.seed(&["--reset"]).expect_code(0).expect("40 deleted");
    assert_eq!(nodes.database.column("SELECT id FROM nodes"), ["theirs"]);
}
