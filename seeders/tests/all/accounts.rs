//! HTTP fixtures against a service made of a closure.

use crate::build::*;
use crate::harness::*;
use planc::graph::*;
use planc::units::Rate;
use seeders::{
    Action, Answer, BoxFuture, ErrorKind, HttpSender, Inputs, PreparedRequest, Receipt, SeedError,
    SeedOptions, seed_http,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

type Handler = Box<dyn Fn(usize, &PreparedRequest) -> Result<Answer, String> + Send + Sync>;

/// A service that remembers what was asked and when.
struct Service {
    asked: Mutex<Vec<(Instant, PreparedRequest)>>,
    handler: Handler,
}

impl HttpSender for Service {
    fn send(&self, request: PreparedRequest) -> BoxFuture<'_, Result<Answer, String>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let count = {
                let mut asked = self.asked.lock().unwrap();
                asked.push((Instant::now(), request.clone()));
                asked.len()
            };
            (self.handler)(count, &request)
        })
    }
}

fn service(
    handler: impl Fn(usize, &PreparedRequest) -> Result<Answer, String> + Send + Sync + 'static,
) -> Service {
    Service { asked: Mutex::new(Vec::new()), handler: Box::new(handler) }
}

fn answer(status: u16, body: &str) -> Result<Answer, String> {
    Ok(Answer { status, headers: BTreeMap::new(), body: body.into() })
}

fn users(rows: u64, change: impl FnOnce(&mut HttpFixture)) -> ExecutionGraph {
    let columns = [
        ("email", value(json!("u{{ n }}@example.test"))),
        ("password", value(json!("{{ inputs.pepper }}-{{ n }}"))),
    ];
    let column = |(name, generator): (&str, Generator)| (name.to_string(), Column::of(generator));
    let mut http = HttpFixture {
        columns: columns.into_iter().map(column).collect(),
        create: Request {
            method: "POST".into(),
            url: template("/api/auth/register"),
            query: BTreeMap::from([("via".to_string(), template("load test"))]),
            headers: BTreeMap::new(),
            body: Some(Body::Json(slots(json!({"email": "{{ email }}", "password": "{{ password }}"})))),
            timeout: None,
            redirects: 0,
        },
        created: vec![StatusPattern::Exact(200), StatusPattern::Exact(201)],
        exists: Some(Exists {
            status: StatusPattern::Exact(400),
            body_contains: Some("already registered".into()),
        }),
        pace: None,
        concurrency: 4,
        retry: Retry { statuses: vec![429, 503], attempts: 4 },
        export: None,
    };
    change(&mut http);
    let mut graph = graph(vec![Fixture {
        name: "users".into(),
        fixture: "users".into(),
        about: String::new(),
        rows,
        children: None,
        kind: FixtureKind::Http(http),
        verify: Vec::new(),
    }]);
    graph.open_inputs.insert("pepper".into(), OpenInput { secret: true, env: None, default: None });
    graph
}

fn inputs() -> Inputs {
    Inputs::from([("inputs.pepper".to_string(), json!("s3cret"))])
}

async fn create(
    service: &Service,
    graph: &ExecutionGraph,
    options: &SeedOptions,
) -> Result<Receipt, SeedError> {
    create_with(service, None, graph, options).await
}

async fn create_with(
    service: &Service,
    ledger: Option<&mut tokio_postgres::Client>,
    graph: &ExecutionGraph,
    options: &SeedOptions,
) -> Result<Receipt, SeedError> {
    seed_http(service, ledger, graph, &graph.fixtures[0], &inputs(), options, &mut |_| {}).await
}

#[tokio::test]
async fn created_and_existing_are_told_apart() {
    let service = service(|_, request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        match body["email"].as_str().unwrap() {
            "u3@example.test" => answer(400, "email already registered"),
            _ => answer(201, "{}"),
        }
    });
    let receipt = create(&service, &users(10, |_| {}), &options()).await.unwrap();
    assert_eq!((receipt.action, counts(&receipt)), (Action::Inserted, [9, 0, 0, 1, 0, 0]));
    let asked = service.asked.lock().unwrap();
    assert_eq!(asked[0].1.url, "/api/auth/register?via=load%20test");
    assert_eq!(asked[0].1.headers["content-type"], "application/json");
    let emails: BTreeSet<&[u8]> = asked.iter().map(|(_, request)| request.body.as_slice()).collect();
    assert_eq!(emails.len(), 10);
}

#[tokio::test]
async fn retries_honour_the_stated_wait() {
    let service = service(|count, _| match count {
        1 => Ok(Answer {
            status: 429,
            headers: BTreeMap::from([("retry-after".into(), "1".into())]),
            body: Vec::new(),
        }),
        2 => answer(503, ""),
        _ => answer(200, ""),
    });
    let started = Instant::now();
    let receipt = create(&service, &users(3, |http| http.concurrency = 1), &options()).await.unwrap();
    assert_eq!(receipt.inserted, 3);
    let asked = service.asked.lock().unwrap();
    assert_eq!(asked.len(), 5);
    assert!(
        asked[1].0 - asked[0].0 >= Duration::from_millis(990),
        "nothing is sent while the service asked to wait"
    );
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn pace_is_held_open_loop() {
    let service = service(|_, _| answer(200, ""));
    let graph = users(21, |http| http.pace = Some(Rate { count: 50, per: Duration::from_secs(1) }));
    create(&service, &graph, &options()).await.unwrap();
    let asked = service.asked.lock().unwrap();
    let took = asked[20].0 - asked[0].0;
    assert!(
        took >= Duration::from_millis(390) && took < Duration::from_millis(700),
        "20 gaps of 20 ms: {took:?}"
    );
}

#[tokio::test]
async fn failures_are_listed_without_secrets() {
    let service =
        service(|_, request| answer(422, &format!("bad: {}", String::from_utf8_lossy(&request.body))));
    let error = create(&service, &users(50, |http| http.concurrency = 1), &options()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Http);
    assert!(error.message.contains("0 of 50 accounts are there; row 1: status 422: bad:"), "{error}");
    assert!(error.message.contains("•••-1") && !error.to_string().contains("s3cret"), "{error}");
    assert_eq!(service.asked.lock().unwrap().len(), 5, "it gives up after five");
}

#[tokio::test]
async fn export_is_atomic_and_private_and_the_ledger_is_believed() {
    let mut client = with("").await;
    let folder = tempfile::tempdir().unwrap();
    let graph = users(5, |http| http.export = Some("out/users.json".into()));
    let options = SeedOptions { export_dir: Some(folder.path().to_path_buf()), ..options() };
    let service = service(|_, _| answer(201, ""));
    let receipt = create_with(&service, Some(&mut client), &graph, &options).await.unwrap();
    assert_eq!(receipt.inserted, 5);
    let path = folder.path().join("out/users.json");
    let rows: Vec<BTreeMap<String, String>> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(rows[4]["email"], "u5@example.test");
    assert_eq!(rows[4]["password"], "s3cret-5");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
    let trusting = SeedOptions { trust_ledger: true, ..options };
    let receipt = create_with(&service, Some(&mut client), &graph, &trusting).await.unwrap();
    assert_eq!(receipt.action, Action::NothingToDo);
    assert_eq!(service.asked.lock().unwrap().len(), 5);
    assert!(!text(&client, "SELECT definition FROM planc.ledger").await.contains("s3cret"));
}
