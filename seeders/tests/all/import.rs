//! What `planc import sql` writes makes the rows that the script makes.

use crate::harness::*;
use seeders::{Fixtures, Inputs};

struct Disk;

impl planc::Files for Disk {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

/// Every row as text, times as their distance from the present of the session that wrote them.
const CERTIFICATES: &str = "SELECT string_agg(concat_ws('|', id, name, common_name, sans, serial_number, status, environment, \
    owner_id, team_id, issuer_id, renewal_policy_id, created_at - not_before, expires_at - created_at, metadata, key_size), \
    E'\\n' ORDER BY id) FROM managed_certificates";
const AGENTS: &str = "SELECT string_agg(concat_ws('|', id, name, hostname, status, now - last_heartbeat_at, now - created_at, os, \
    architecture, ip_address, version, labels), E'\\n' ORDER BY id) \
    FROM agents, (SELECT max(last_heartbeat_at) AS now FROM agents) t";

#[tokio::test]
async fn an_imported_seed_makes_the_rows_of_the_script() {
    let schema =
        std::fs::read_to_string("../tests/src/bin/proving-ground/migrations/01_certctl.sql").unwrap();
    for (file, rows) in [("certificates", CERTIFICATES), ("agents", AGENTS)] {
        let path = format!("../planc/tests/data/seed/{file}.sql");
        let script = with(&schema).await;
        script.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
        script.batch_execute(&std::fs::read_to_string(&path).unwrap()).await.unwrap();

        let mut fixture = with(&schema).await;
        fixture.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
        let imported = planc::import::sql(&Disk, &[path]);
        let one = &imported.fixtures[0];
        let compiled = Fixtures::compile([(format!("{}.yaml", one.name), one.text.clone())]).unwrap();
        assert_eq!(compiled.inputs(), &Inputs::new());
        seed(&mut fixture, compiled.graph()).await;

        let made: Option<String> = script.query_one(rows, &[]).await.unwrap().get(0);
        let seeded: Option<String> = fixture.query_one(rows, &[]).await.unwrap().get(0);
        let (made, seeded) = (made.unwrap(), seeded.unwrap());
        let differs = made.lines().zip(seeded.lines()).find(|(a, b)| a != b);
        assert_eq!(differs, None, "{file}");
        assert_eq!(made.lines().count(), seeded.lines().count());
        assert!(made.lines().count() >= 5_000, "{file}");
    }
}
