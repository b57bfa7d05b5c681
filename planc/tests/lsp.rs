//! `planc lsp` behind a client of the trade: open, edit, diagnostics, hover, completion, definition.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A test drives the program from outside.

use async_lsp::router::Router;
use async_lsp::{ErrorCode, LanguageServer, ServerSocket};
use lsp_types::notification::{Notification, PublishDiagnostics};
use lsp_types::request::{RegisterCapability, Request};
use lsp_types::*;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

/// A hang is a failure with a name, not a job that never ends.
const PATIENCE: Duration = Duration::from_secs(60);

const FIXTURE: &str = "\
fixture: agents
table: agents
rows: 100
identity: id
columns:
  id: \"ag-{{ n | pad(5) }}\"
verify: [{ sql: select 1, expect: { rows: 1 } }]
";

const PLAN: &str = r#"plan: storm 😀
target: { url: "http://127.0.0.1:1", allow_hosts: [127.0.0.1] }
inputs:
  rate: { type: rate, default: 100/s, about: "ü 😀" }
fixtures:
  agents: { from: ../fixtures/agents.yaml }
database: { url: "postgres://localhost/x_test" }
guards:
  - { name: the database is a test database, postgres: { database: "*_test" } }
endpoints:
  beat: { get: "/agents/{id}" }
scenarios:
  beats:
    executor: constant-arrival-rate
    rate: "{{ inputs.rate }}"
    duration: 60s
    pre_allocated_vus: 10
    max_vus: 200
    draw: { agent: agents }
    steps:
      - { call: beat, path: { id: "{{ agent.id }}" }, expect: { status: 200 } }
thresholds:
  http_req_duration{scenario:beats}: ["p(95) < 500ms"]
  http_req_failed{scenario:beats}: ["rate < 1%"]
"#;

/// A folder of its own for one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("planc lsp ü {name} {}", std::process::id()));
        std::fs::create_dir_all(path.join("plans")).expect("a folder");
        std::fs::create_dir_all(path.join("fixtures")).expect("a folder");
        std::fs::write(path.join("fixtures/agents.yaml"), FIXTURE).expect("a file");
        std::fs::write(path.join("plans/plan.yaml"), "# the editor's text counts\n").expect("a file");
        Folder(path)
    }

    fn url(&self, name: &str) -> Url {
        Url::from_file_path(self.0.join(name)).expect("an absolute path")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Stop;

/// An editor with one server.
struct Editor {
    server: ServerSocket,
    child: Child,
    mainloop: tokio::task::JoinHandle<()>,
    told: UnboundedReceiver<PublishDiagnosticsParams>,
    watched: UnboundedReceiver<RegistrationParams>,
    capabilities: ServerCapabilities,
}

impl Editor {
    async fn start(capabilities: ClientCapabilities) -> Self {
        let (tell, told) = unbounded_channel();
        let (watch, watched) = unbounded_channel();
        let (mainloop, mut server) = async_lsp::MainLoop::new_client(|_| {
            let mut router = Router::new(());
            router
                .notification::<PublishDiagnostics>(move |_, params| {
                    let _ = tell.send(params);
                    ControlFlow::Continue(())
                })
                .request::<RegisterCapability, _>(move |_, params| {
                    let _ = watch.send(params);
                    async { Ok(()) }
                })
                .event(|_, _: Stop| ControlFlow::Break(Ok(())));
            router
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_planc"));
        command.arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.current_dir(std::env::temp_dir());
        let mut child = command.spawn().expect("planc starts");
        let output = child.stdout.take().expect("piped").compat();
        let input = child.stdin.take().expect("piped").compat_write();
        let mainloop = tokio::spawn(async move {
            mainloop.run_buffered(output, input).await.expect("the session ends well");
        });
        let asked = InitializeParams { capabilities, ..InitializeParams::default() };
        let answer = soon(server.initialize(asked)).await.expect("initialized");
        server.initialized(InitializedParams {}).expect("sent");
        Editor { server, child, mainloop, told, watched, capabilities: answer.capabilities }
    }

    fn open(&mut self, url: &Url, text: &str) {
        let text_document =
            TextDocumentItem { uri: url.clone(), language_id: "yaml".into(), version: 1, text: text.into() };
        self.server.did_open(DidOpenTextDocumentParams { text_document }).expect("sent");
    }

    /// Replaces a piece of a text as an editor does, and gives the new text.
    fn edit(&mut self, url: &Url, version: i32, text: &str, from: &str, to: &str) -> String {
        let start = text.find(from).unwrap_or_else(|| panic!("no `{from}`"));
        let range = Range::new(position(text, start), position(text, start + from.len()));
        let change =
            TextDocumentContentChangeEvent { range: Some(range), range_length: None, text: to.into() };
        self.change(url, version, change);
        text.replacen(from, to, 1)
    }

    fn change(&mut self, url: &Url, version: i32, change: TextDocumentContentChangeEvent) {
        let text_document = VersionedTextDocumentIdentifier { uri: url.clone(), version };
        let params = DidChangeTextDocumentParams { text_document, content_changes: vec![change] };
        self.server.did_change(params).expect("sent");
    }

    /// What is told of a version of a text, `line:character code message` each.
    async fn told(&mut self, url: &Url, version: i32) -> Vec<String> {
        self.diagnostics(url, Some(version)).await.iter().map(show).collect()
    }

    async fn diagnostics(&mut self, url: &Url, version: Option<i32>) -> Vec<Diagnostic> {
        loop {
            let params = soon(self.told.recv()).await.expect("the server lives");
            if params.uri == *url && params.version == version {
                return params.diagnostics;
            }
        }
    }

    async fn hover(&mut self, url: &Url, text: &str, piece: &str) -> Option<String> {
        let params = HoverParams {
            text_document_position_params: cursor(url, text, piece),
            work_done_progress_params: WorkDoneProgressParams::default(),
        };
        let hover = soon(self.server.hover(params)).await.expect("an answer")?;
        match hover.contents {
            HoverContents::Markup(markup) => Some(markup.value),
            other => panic!("{other:?}"),
        }
    }

    async fn complete(&mut self, url: &Url, text: &str, piece: &str) -> Vec<CompletionItem> {
        let params = CompletionParams {
            text_document_position: cursor(url, text, piece),
            work_done_progress_params: WorkDoneProgressParams::default(),
            partial_result_params: PartialResultParams::default(),
            context: None,
        };
        match soon(self.server.completion(params)).await.expect("an answer") {
            Some(CompletionResponse::Array(items)) => items,
            other => panic!("{other:?}"),
        }
    }

    async fn definition(&mut self, url: &Url, text: &str, piece: &str) -> Vec<Location> {
        let params = GotoDefinitionParams {
            text_document_position_params: cursor(url, text, piece),
            work_done_progress_params: WorkDoneProgressParams::default(),
            partial_result_params: PartialResultParams::default(),
        };
        match soon(self.server.definition(params)).await.expect("an answer") {
            Some(GotoDefinitionResponse::Array(places)) => places,
            other => panic!("{other:?}"),
        }
    }

    /// Says good-bye as the protocol asks.
    async fn stop(mut self) -> ExitStatus {
        soon(self.server.shutdown(())).await.expect("shut down");
        self.leave().await
    }

    /// Goes at once.
    async fn leave(mut self) -> ExitStatus {
        self.server.exit(()).expect("sent");
        let status = soon(self.child.wait()).await.expect("planc ends");
        let _ = self.server.emit(Stop);
        self.mainloop.abort();
        status
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("an answer in time")
}

/// The position of a byte, counted as the protocol's default is: in UTF-16.
fn position(text: &str, byte: usize) -> Position {
    let line = text[..byte].matches('\n').count();
    let start = text[..byte].rfind('\n').map_or(0, |at| at + 1);
    Position::new(line as u32, text[start..byte].encode_utf16().count() as u32)
}

/// The place of the `‸` in a piece of a text.
fn cursor(url: &Url, text: &str, piece: &str) -> TextDocumentPositionParams {
    let at = text.find(&piece.replace('‸', "")).unwrap_or_else(|| panic!("no `{piece}` in\n{text}"));
    let position = position(text, at + piece.find('‸').expect("a cursor"));
    TextDocumentPositionParams { text_document: TextDocumentIdentifier { uri: url.clone() }, position }
}

fn show(found: &Diagnostic) -> String {
    let code = match &found.code {
        Some(NumberOrString::String(code)) => code.as_str(),
        other => panic!("{other:?}"),
    };
    let Position { line, character } = found.range.start;
    format!("{line}:{character} {code} {}", found.message.lines().next().unwrap_or(""))
}

fn labels(items: &[CompletionItem]) -> Vec<&str> {
    items.iter().map(|item| item.label.as_str()).collect()
}

#[tokio::test]
async fn a_suite_is_told_what_is_wrong_between_its_plans() {
    let folder = Folder::new("suite");
    let mut editor = Editor::start(ClientCapabilities::default()).await;
    let url = folder.url("plans/suite.yaml");
    editor.open(&url, "suite: all\nplans: [{ plan: plan.yaml, needs: [plam] }]\n");
    let found = editor.diagnostics(&url, Some(1)).await;
    assert_eq!(found.iter().map(show).collect::<Vec<_>>(), ["1:35 P0211 `plam` is no plan of this suite"]);
}

#[tokio::test]
async fn open_edit_diagnostics_hover_completion_definition() {
    let folder = Folder::new("all");
    let mut editor = Editor::start(ClientCapabilities::default()).await;
    assert_eq!(editor.capabilities.position_encoding, Some(PositionEncodingKind::UTF16));
    let url = folder.url("plans/plan.yaml");
    editor.open(&url, PLAN);
    assert_eq!(editor.told(&url, 1).await, [""; 0]);

    // Diagnostics, on the newest text.
    let text = editor.edit(&url, 2, PLAN, "{scenario:beats}: [\"p", "{scenario:beets}: [\"p");
    let found = editor.diagnostics(&url, Some(2)).await;
    assert_eq!(
        found.iter().map(show).collect::<Vec<_>>(),
        ["22:29 P0401 no sample of `http_req_duration` can carry `scenario:beets`"]
    );
    assert!(found[0].message.contains("\nhelp: did you mean `beats`?"), "{}", found[0].message);
    assert_eq!(found[0].source.as_deref(), Some("planc"));

    // The fix that the diagnostic carries.
    let params = CodeActionParams {
        text_document: TextDocumentIdentifier { uri: url.clone() },
        range: found[0].range,
        context: CodeActionContext { diagnostics: found, ..CodeActionContext::default() },
        work_done_progress_params: WorkDoneProgressParams::default(),
        partial_result_params: PartialResultParams::default(),
    };
    let actions = soon(editor.server.code_action(params)).await.expect("an answer").expect("actions");
    let [CodeActionOrCommand::CodeAction(action)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(action.title, "write `beats`");
    let changes = action.edit.clone().and_then(|edit| edit.changes).expect("changes");
    let range = Range::new(Position::new(22, 29), Position::new(22, 34));
    assert_eq!(changes[&url], [TextEdit { range, new_text: "beats".into() }]);
    let text = editor.edit(&url, 3, &text, "beets", "beats");
    assert_eq!(editor.told(&url, 3).await, [""; 0]);

    // Hover.
    let gate = editor.hover(&url, &text, "http_req_dura‸tion").await.expect("words");
    assert!(gate.contains("about 6,000 = beats 6,000 × 1"), "{gate}");
    let input = editor.hover(&url, &text, "inputs.ra‸te").await.expect("words");
    assert!(input.contains("ü 😀"), "{input}");
    assert_eq!(editor.hover(&url, &text, "plan: sto‸rm").await, None);

    // Completion, in a text that is torn where the cursor is.
    let torn = editor.edit(&url, 4, &text, "    duration: 60s\n", "    dur\n");
    let found = editor.complete(&url, &torn, "    dur‸\n").await;
    let duration = found.iter().find(|item| item.label == "duration").expect("proposed");
    let edit = match &duration.text_edit {
        Some(CompletionTextEdit::Edit(edit)) => edit.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(edit.new_text, "duration: ");
    assert_eq!(edit.range, Range::new(Position::new(15, 4), Position::new(15, 7)));
    let text = editor.edit(&url, 5, &torn, "    dur\n", "    duration: 60s\n");
    let found = editor.complete(&url, &text, "call: be‸at").await;
    assert_eq!(labels(&found), ["beat"]);
    let found = editor.complete(&url, &text, "http_req_failed{scenario:‸beats").await;
    assert_eq!(labels(&found), ["beats"]);

    // Definition, in the same file and in another.
    let places = editor.definition(&url, &text, "{{ inputs.ra‸te").await;
    assert_eq!(places.len(), 1);
    assert_eq!((&places[0].uri, places[0].range.start), (&url, Position::new(3, 2)));
    let places = editor.definition(&url, &text, "agent.i‸d").await;
    let column = Range::new(Position::new(5, 2), Position::new(5, 4));
    assert_eq!(places, [Location::new(folder.url("fixtures/agents.yaml"), column)]);

    assert_eq!(editor.stop().await.code(), Some(0));
}

#[tokio::test]
async fn a_fixture_that_is_not_saved_counts_for_its_plan() {
    let folder = Folder::new("fixture");
    let mut editor = Editor::start(ClientCapabilities::default()).await;
    let (plan, fixture) = (folder.url("plans/plan.yaml"), folder.url("fixtures/agents.yaml"));
    editor.open(&fixture, FIXTURE);
    assert_eq!(editor.told(&fixture, 1).await, [""; 0]);
    editor.open(&plan, PLAN);
    assert_eq!(editor.told(&plan, 1).await, [""; 0]);

    let text = editor.edit(&fixture, 2, FIXTURE, "  id: \"ag", "  key: \"ag");
    let found = editor.diagnostics(&plan, Some(1)).await;
    let shown: Vec<String> = found.iter().map(show).collect();
    assert_eq!(shown, ["20:38 P0210 `agent` has no `id`"]);

    let text = editor.edit(&fixture, 3, &text, "  key: \"ag", "  id: \"ag");
    assert_eq!(editor.told(&plan, 1).await, [""; 0]);

    // A mistake in the fixture is told at the fixture, once, though two files of the editor lead there.
    editor.edit(&fixture, 4, &text, "rows: 100", "rows: many");
    assert_eq!(editor.told(&fixture, 4).await, ["2:6 P0104 `many` is not a whole number"]);

    // Closed, the file on the disk counts again.
    let identifier = TextDocumentIdentifier { uri: fixture.clone() };
    editor.server.did_close(DidCloseTextDocumentParams { text_document: identifier }).expect("sent");
    assert_eq!(editor.diagnostics(&fixture, None).await, []);
    assert_eq!(editor.stop().await.code(), Some(0));
}

#[tokio::test]
async fn what_is_unused_is_grey_and_what_explains_is_linked() {
    let folder = Folder::new("tags");
    let mut editor = Editor::start(ClientCapabilities::default()).await;
    let url = folder.url("plans/plan.yaml");
    let unused =
        PLAN.replace("  beat: {", "  other: { get: /x }\n  beat: {").replace("max_vus: 200", "max_vus: 20");
    editor.open(&url, &unused);
    let found = editor.diagnostics(&url, Some(1)).await;
    let of = |code: &str| found.iter().find(|found| show(found).contains(code)).expect("found");
    assert_eq!(of("P0413").tags, Some(vec![DiagnosticTag::UNNECESSARY]));
    assert_eq!(of("P0413").severity, Some(DiagnosticSeverity::WARNING));
    let pool = of("P0409");
    let related = pool.related_information.as_ref().expect("places");
    assert_eq!(related[0].message, "the bound");
    assert_eq!(related[0].location.range.start.line, 23);
    assert!(pool.message.contains("note: 20 virtual users ÷ 100/s = 200ms"), "{}", pool.message);
    assert_eq!(editor.stop().await.code(), Some(0));
}

#[tokio::test]
async fn bytes_are_counted_when_the_client_offers_it() {
    let folder = Folder::new("utf8");
    let encodings = vec![PositionEncodingKind::UTF16, PositionEncodingKind::UTF8];
    let general = GeneralClientCapabilities {
        position_encodings: Some(encodings),
        ..GeneralClientCapabilities::default()
    };
    let capabilities = ClientCapabilities { general: Some(general), ..ClientCapabilities::default() };
    let mut editor = Editor::start(capabilities).await;
    assert_eq!(editor.capabilities.position_encoding, Some(PositionEncodingKind::UTF8));
    let url = folder.url("plans/plan.yaml");
    editor.open(&url, &PLAN.replace("about: \"ü 😀\"", "about: \"ü 😀\", abuot: x"));
    let line = "  rate: { type: rate, default: 100/s, about: \"ü 😀\", ";
    assert_eq!(
        editor.told(&url, 1).await,
        [format!("3:{} P0100 unknown key `abuot` in an input", line.len())]
    );
    assert_eq!(editor.stop().await.code(), Some(0));
}

#[tokio::test]
async fn odd_clients_are_answered_politely() {
    let folder = Folder::new("odd");
    let workspace = WorkspaceClientCapabilities {
        did_change_watched_files: Some(DidChangeWatchedFilesClientCapabilities {
            dynamic_registration: Some(true),
            relative_pattern_support: None,
        }),
        ..WorkspaceClientCapabilities::default()
    };
    let capabilities = ClientCapabilities { workspace: Some(workspace), ..ClientCapabilities::default() };
    let mut editor = Editor::start(capabilities).await;
    let asked = soon(editor.watched.recv()).await.expect("asked");
    assert_eq!(asked.registrations[0].method, "workspace/didChangeWatchedFiles");

    // Edits that lie outside of the text, of a file that is not open, and of an address that is no file.
    let url = folder.url("plans/plan.yaml");
    let far = Range::new(Position::new(900, 9), Position::new(3, 0));
    let change = |range| TextDocumentContentChangeEvent { range, range_length: None, text: "x: [\n".into() };
    editor.change(&url, 1, change(Some(far)));
    let untitled = Url::parse("untitled:Untitled-1").expect("an address");
    editor.open(&untitled, PLAN);
    let found = editor.told(&untitled, 1).await;
    assert!(found[0].contains("cannot read `../fixtures/agents.yaml`"), "{found:?}");
    for version in 2..40 {
        editor.change(&untitled, version, change(Some(far)));
    }
    assert!(!editor.told(&untitled, 39).await.is_empty(), "only the newest text is told of");
    assert_eq!(editor.hover(&url, PLAN, "plan: sto‸rm").await, None);

    // Any other YAML is left alone.
    let compose = folder.url("compose.yaml");
    editor.open(&compose, "services:\n  web: { image: nginx }\n");
    assert_eq!(editor.told(&compose, 1).await, [""; 0]);

    // A request that nobody knows, and one after good-bye.
    enum Unknown {}
    impl Request for Unknown {
        type Params = ();
        type Result = ();
        const METHOD: &'static str = "planc/unknown";
    }
    let answer = soon(editor.server.request::<Unknown>(())).await;
    assert!(
        matches!(&answer, Err(async_lsp::Error::Response(e)) if e.code == ErrorCode::METHOD_NOT_FOUND),
        "{answer:?}"
    );
    enum Odd {}
    impl Notification for Odd {
        type Params = Vec<u8>;
        const METHOD: &'static str = "textDocument/didChange";
    }
    editor.server.notify::<Odd>(vec![1, 2]).expect("sent");
    assert_eq!(editor.leave().await.code(), Some(1), "gone without `shutdown`");
}
