//! HTTP fixtures against a service made of a closure.

use crate::build::*;
use crate::harness::*;
use planc::graph::*;
use planc::units::Rate;
use seeders::{
    Action, Answer, BoxFuture, ErrorKind, HttpSender, Inputs, PreparedRequest, Receipt, SeedError,
    SeedOptions, SendError, seed_http,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

type Handler = Box<dyn Fn(usize, &PreparedRequest) -> Result<Answer, SendError> + Send + Sync>;

/// What a handler says to never answer.
const SILENCE: &str = "silence";

/// A service that remembers what was asked and when.
struct Service {
    asked: Mutex<Vec<(Instant, PreparedRequest)>>,
    handler: Handler,
}

impl HttpSender for Service {
    fn send(&self, request: PreparedRequest) -> BoxFuture<'_, Result<Answer, SendError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let count = {
                let mut asked = self.asked.lock().unwrap();
                asked.push((Instant::now(), request.clone()));
                asked.len()
            };
            match (self.handler)(count, &request) {
                Err(error) if error.message == SILENCE => std::future::pending().await,
                answer => answer,
            }
        })
    }
}

fn service(
    handler: impl Fn(usize, &PreparedRequest) -> Result<Answer, SendError> + Send + Sync + 'static,
) -> Service {
    Service { asked: Mutex::new(Vec::new()), handler: Box::new(handler) }
}

fn answer(status: u16, body: &str) -> Result<Answer, SendError> {
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
        limit: None,
        concurrency: 4,
        retry: Retry { statuses: vec![429, 503], attempts: 4 },
        capture: Vec::new(),
        probe: None,
        reissue: None,
        export: None,
    };
    change(&mut http);
    let mut graph = graph(vec![Fixture {
        name: "users".into(),
        fixture: "users".into(),
        about: String::new(),
        rows,
        children: None,
        after: Vec::new(),
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
    let receipt = create(&service, &users(3, |http| http.concurrency = 1), &options()).await.unwrap();
    assert_eq!(receipt.inserted, 3);
    let asked = service.asked.lock().unwrap();
    assert_eq!(asked.len(), 5);
    assert!(
        asked[1].0 - asked[0].0 >= Duration::from_millis(990),
        "nothing is sent while the service asked to wait"
    );
}

#[tokio::test]
async fn pace_is_held_from_the_first_request_on() {
    let service = service(|_, _| answer(200, ""));
    let graph = users(21, |http| http.pace = Some(Rate { count: 50, per: Duration::from_secs(1) }));
    let started = Instant::now();
    create(&service, &graph, &options()).await.unwrap();
    let took = service.asked.lock().unwrap()[20].0 - started;
    assert!(took >= Duration::from_millis(20 * 20), "20 gaps of 20 ms: {took:?}");
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

fn silence() -> Result<Answer, SendError> {
    Err(SILENCE.to_string().into())
}

/// The emails of all requests to create, in the order in which they were asked for.
fn emails(service: &Service) -> Vec<String> {
    let asked = service.asked.lock().unwrap();
    let creates = asked.iter().filter(|(_, request)| request.method == "POST");
    let body =
        |request: &PreparedRequest| -> serde_json::Value { serde_json::from_slice(&request.body).unwrap() };
    creates.map(|(_, request)| body(request)["email"].as_str().unwrap().to_owned()).collect()
}

/// Seeds until the service was asked so often, and is gone then as a killed process is. A connection of its own, since
/// the lock of a killed process goes with it.
async fn cut_off(service: &Service, url: &str, graph: &ExecutionGraph, after: usize) {
    let mut client = connect(url).await;
    let asked = async {
        while service.asked.lock().unwrap().len() < after {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let options = options();
    tokio::select! {
        done = create_with(service, Some(&mut client), graph, &options) => panic!("{done:?}"),
        () = asked => {}
    }
}

/// The same users where the service cannot say that one exists already.
fn unrecognised(rows: u64, change: impl FnOnce(&mut HttpFixture)) -> ExecutionGraph {
    users(rows, |http| {
        http.exists = None;
        change(http);
    })
}

fn get(path: &str) -> Request {
    Request {
        method: "GET".into(),
        url: template(path),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        body: None,
        timeout: None,
        redirects: 0,
    }
}

#[tokio::test]
async fn a_killed_seeding_goes_on_and_tells_what_nobody_knows() {
    let (mut client, url) = database().await;
    let made = |count: usize| if count <= 5 { answer(201, "") } else { silence() };
    let first = service(move |count, _| made(count));
    cut_off(&first, &url, &unrecognised(12, |_| {}), 9).await;
    let second = service(|_, _| answer(201, ""));
    let error =
        create_with(&second, Some(&mut client), &unrecognised(12, |_| {}), &options()).await.unwrap_err();
    assert!(error.message.contains("had been asked for when an earlier run was cut off"), "{error}");
    assert!(error.help.as_ref().unwrap().contains("probe: { get: … }"), "{error}");
    let mut all = [emails(&first), emails(&second)].concat();
    all.sort();
    all.dedup();
    assert_eq!(
        (all.len(), emails(&first).len(), emails(&second).len()),
        (12, 9, 3),
        "each was asked for once"
    );

    // The probe finds one of those of which nobody knew, and the others are made.
    let there = emails(&first)[5].clone();
    let probing = unrecognised(12, |http| {
        http.probe =
            Some(AccountProbe { request: get("/users/{{ email }}"), alive: vec![StatusPattern::Exact(200)] });
    });
    let third = service(move |_, request| match request.method.as_str() {
        "GET" if request.url.ends_with(&there) => answer(200, ""),
        // What was not noted before the kill is probed too.
        "GET" => answer(404, ""),
        _ => answer(201, ""),
    });
    let trusting = SeedOptions { trust_ledger: true, ..options() };
    let receipt = create_with(&third, Some(&mut client), &probing, &trusting).await.unwrap();
    assert_eq!(receipt.inserted + receipt.kept, 12);
    let again: BTreeSet<String> = emails(&third).into_iter().collect();
    assert!(again.iter().all(|email| emails(&first)[..9].contains(email)), "{again:?}");
    assert!(!again.contains(&emails(&first)[5]), "it was there");
}

#[tokio::test]
async fn accounts_that_are_noted_are_not_asked_for_again() {
    let mut client = with("").await;
    let known = |_: usize, request: &PreparedRequest| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        match body["email"].as_str().unwrap() {
            "u1@example.test" | "u3@example.test" => answer(400, "already registered"),
            _ => answer(201, ""),
        }
    };
    create_with(&service(|_, _| answer(201, "")), Some(&mut client), &users(3, |_| {}), &options())
        .await
        .unwrap();
    // Slower, and more of them: the first and the last are asked for, to see whether the service remembers.
    let grown = users(5, |http| {
        http.pace = Some(Rate { count: 100, per: Duration::from_secs(1) });
        http.concurrency = 1;
    });
    let second = service(known);
    let receipt = create_with(&second, Some(&mut client), &grown, &options()).await.unwrap();
    assert_eq!((receipt.inserted, receipt.kept), (2, 3));
    let asked = ["u1@example.test", "u3@example.test", "u4@example.test", "u5@example.test"];
    assert_eq!(emails(&second), asked);
    // Other accounts under the same name.
    let other = users(2, |http| {
        http.columns.insert("email".into(), users_column("other{{ n }}@example.test"));
    });
    let third = service(|_, _| answer(201, ""));
    let receipt = create_with(&third, Some(&mut client), &other, &options()).await.unwrap();
    assert_eq!((receipt.inserted, receipt.kept), (2, 0));
    let reset = SeedOptions { mode: seeders::Mode::Reset, ..options() };
    let receipt = create_with(&third, Some(&mut client), &other, &reset).await.unwrap();
    assert_eq!(receipt.action, Action::Reset);
    assert_eq!(text(&client, "SELECT count(*) FROM planc.accounts").await, "(0)");
}

fn users_column(text: &str) -> Column {
    Column { generator: value(json!(text)), volatile: false, fresh_within: None, unique: false }
}

#[tokio::test]
async fn a_refusal_without_a_word_holds_everything_back() {
    let service = service(|count, _| if count == 2 { answer(429, "") } else { answer(201, "") });
    let receipt = create(&service, &users(6, |http| http.concurrency = 1), &options()).await.unwrap();
    assert_eq!(receipt.inserted, 6);
    assert_eq!(
        receipt.notes,
        ["the service answered 429 once: declare its limit, such as `create: { limit: 600/m }`"]
    );
    let asked = service.asked.lock().unwrap();
    assert!(asked[2].0 - asked[1].0 >= Duration::from_millis(99), "nothing is sent meanwhile");
}

#[tokio::test]
async fn what_may_have_arrived_is_not_sent_twice() {
    let lost = |unsent| {
        service(move |count, _| match count {
            1 => Err(SendError { message: "connection reset".into(), unsent }),
            _ => answer(201, ""),
        })
    };
    let graph = unrecognised(3, |http| http.concurrency = 1);
    let reset = lost(false);
    let error = create(&reset, &graph, &options()).await.unwrap_err();
    assert!(error.message.contains("2 of 3 accounts are there; row 1: connection reset"), "{error}");
    assert_eq!(emails(&reset).len(), 3);
    let refused = lost(true);
    assert_eq!(create(&refused, &graph, &options()).await.unwrap().inserted, 3);
    let recognised = lost(false);
    assert_eq!(create(&recognised, &users(3, |_| {}), &options()).await.unwrap().inserted, 3);
}

#[tokio::test]
async fn what_is_told_once_is_kept_probed_and_made_anew() {
    let mut client = with("").await;
    let folder = tempfile::tempdir().unwrap();
    let options = SeedOptions {
        export_dir: Some(folder.path().to_path_buf()),
        secrets_dir: Some(folder.path().join("secrets")),
        ..options()
    };
    let mut probe = get("/me");
    probe.headers.insert("authorization".into(), template("Bearer {{ api_key }}"));
    let graph = users(3, |http| {
        http.capture = vec![Capture { name: "api_key".into(), from: CaptureFrom::Json("$.key".into()) }];
        http.probe = Some(AccountProbe { request: probe, alive: vec![StatusPattern::Class(2)] });
        http.reissue = Some(get("/keys/{{ email }}"));
        http.export = Some("users.json".into());
    });
    let first = service(|count, _| answer(201, &format!(r#"{{"key":"t0p-s3cret-{count}"}}"#)));
    let receipt = create_with(&first, Some(&mut client), &graph, &options).await.unwrap();
    assert_eq!(receipt.inserted, 3);
    let secrets = || seeders::account_secrets(&graph, &graph.fixtures[0], &inputs(), &options).unwrap();
    let dead = secrets().get(2, "api_key").unwrap().as_str().unwrap().to_owned();
    assert!(dead.starts_with("t0p-s3cret-"));
    let second = service(move |_, request| match request.headers.get("authorization") {
        Some(token) if token.ends_with(&dead) => answer(401, "no such key"),
        Some(_) => answer(200, ""),
        None => answer(201, r#"{"key":"an0ther-s3cret"}"#),
    });
    let receipt = create_with(&second, Some(&mut client), &graph, &options).await.unwrap();
    assert_eq!((receipt.inserted, receipt.kept), (0, 3));
    assert_eq!(
        receipt.notes,
        ["3 of 3 were made by an earlier run", "1 of them were dead", "`api_key` of 1 were issued anew"]
    );
    assert_eq!(secrets().get(2, "api_key"), Some(&json!("an0ther-s3cret")));
    let exported = std::fs::read_to_string(folder.path().join("users.json")).unwrap();
    assert!(exported.contains("an0ther-s3cret") && exported.contains("u3@example.test"));
    for path in [folder.path().join("users.json"), only_file(&folder.path().join("secrets"))] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let tables =
        "SELECT (SELECT json_agg(l) FROM planc.ledger l)::text || (SELECT json_agg(a) FROM planc.accounts a)";
    assert!(!text(&client, tables).await.contains("s3cret"), "never in the database");
    let verify = SeedOptions { mode: seeders::Mode::Verify, ..options.clone() };
    let gone = service(|_, _| answer(401, ""));
    let receipt = create_with(&gone, Some(&mut client), &graph, &verify).await.unwrap();
    assert_eq!(
        (receipt.action, receipt.notes),
        (Action::Drift, vec!["0 of 3 accounts are alive".to_owned()])
    );
}

fn only_file(folder: &std::path::Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[tokio::test]
async fn secrets_without_a_place_are_refused_before_anything_is_sent() {
    let service = service(|_, _| answer(201, r#"{"key":"x"}"#));
    let graph = users(3, |http| {
        http.capture = vec![Capture { name: "api_key".into(), from: CaptureFrom::Json("$.key".into()) }];
    });
    let error = create(&service, &graph, &options()).await.unwrap_err();
    assert!(error.message.contains("there is no folder to keep them in"), "{error}");
    assert!(service.asked.lock().unwrap().is_empty());
}
