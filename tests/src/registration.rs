//! A service with limited registration and a fixture that makes accounts there, for tests and `bench accounts`.

use crate::{Database, Ground, command};
use std::path::PathBuf;
use std::process::Command;

/// How the service limits registrations and what is asked of it.
pub struct Registration {
    /// The database of service and ledger.
    pub database: Database,
    /// The service.
    pub ground: Ground,
    folder: tempfile::TempDir,
    with_database: bool,
}

/// Whether the fixture says how an account that is there already answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// By `exists`, in the answer to `create`.
    Exists,
    /// By a `probe` that logs in.
    Probe,
}

impl Registration {
    /// A service that takes `per_minute` registrations, `burst` of them at once (0: at any moments of a minute), and a
    /// fixture of so many `rows` that declares this limit.
    pub fn new(rows: u64, per_minute: u32, burst: u32, tells: Tells) -> Registration {
        let database = Database::start("accounts_test");
        let (limit, burst) = (per_minute.to_string(), burst.to_string());
        let env =
            [("REGISTER_LIMIT", limit.as_str()), ("REGISTER_BURST", burst.as_str()), ("AUTH_COST", "32")];
        let ground = Ground::start(Some(&database.url), &env);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let it = Registration { database, ground, folder, with_database: true };
        std::fs::write(it.plan(), plan(rows, per_minute, tells)).expect("a plan");
        it
    }

    /// The same with a plan that has no database: what is made is remembered in a file.
    pub fn without_database(mut self) -> Registration {
        let text = std::fs::read_to_string(self.plan()).expect("the plan");
        let text: Vec<&str> = text.lines().filter(|line| !line.contains("database")).collect();
        std::fs::write(self.plan(), text.join("\n")).expect("a plan");
        self.with_database = false;
        self
    }

    fn plan(&self) -> PathBuf {
        self.folder.path().join("accounts.yaml")
    }

    /// What the fixture exports.
    pub fn export(&self) -> PathBuf {
        self.folder.path().join("users.json")
    }

    /// `runner seed` with some more arguments.
    pub fn seed(&self, arguments: &[&str]) -> Command {
        let mut command = command("runner");
        command.arg("seed").arg(self.plan()).args(arguments).current_dir(self.folder.path());
        command.arg("--set").arg(format!("base_url={}", self.ground.url));
        if self.with_database {
            command.arg("--set").arg(format!("database_url={}", self.database.url));
        }
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.arg("--out").arg(self.folder.path().join("out"));
        command
    }

    /// Accounts that are there.
    pub fn accounts(&self) -> u64 {
        let count = self.database.value("select count(*) from users where username like 'made-%'");
        count.parse().expect("a number")
    }

    /// Registrations that got this status since the service started.
    pub fn answered(&self, status: u16) -> u64 {
        let (_, stats) = self.ground.send("GET", "/_stats", None);
        stats["requests"]["POST /api/auth/register"][status.to_string()].as_u64().unwrap_or(0)
    }
}

fn plan(rows: u64, per_minute: u32, tells: Tells) -> String {
    let exists = match tells {
        Tells::Exists => "exists: { status: 400, body_contains: already registered }",
        Tells::Probe => "retry: { statuses: [429, 503], attempts: 5 }",
    };
    let login =
        r#"{ post: /api/auth/login-json, json: { username: "{{ username }}", password: "{{ password }}" } }"#;
    let probe = match tells {
        Tells::Exists => String::new(),
        Tells::Probe => format!("probe: {login}"),
    };
    format!(
        r#"plan: accounts
inputs:
  base_url: {{ type: string }}
  database_url: {{ type: secret }}
target: {{ url: "{{{{ inputs.base_url }}}}" }}
database: {{ url: "{{{{ inputs.database_url }}}}" }}
endpoints:
  register: {{ post: /api/auth/register, limit: {per_minute}/m }}
fixtures:
  users:
    rows: {rows}
    columns:
      username: "made-{{{{ n | pad(6) }}}}"
      email: "made-{{{{ n | pad(6) }}}}@accounts.example.test"
      password: "made-password-{{{{ n }}}}"
    create:
      post: /api/auth/register
      json: {{ username: "{{{{ username }}}}", email: "{{{{ email }}}}", password: "{{{{ password }}}}" }}
      created: [201]
      {exists}
    {probe}
    export: users.json
scenarios:
  login:
    executor: per-vu-iterations
    vus: 1
    iterations: 1
    draw: {{ user: users }}
    steps:
      - post: /api/auth/login-json
        json: {{ username: "{{{{ user.username }}}}", password: "{{{{ user.password }}}}" }}
        expect: {{ status: 200 }}
"#
    )
}
