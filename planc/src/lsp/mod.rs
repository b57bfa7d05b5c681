//! `planc lsp`: the library's answers over the language server protocol, on standard input and output.
//!
//! One thread and one loop. A request is answered at once, on the newest text; checking waits for a short silence, so
//! that fast typing costs one check and not one for each key. Nothing here knows the plan language.

mod answers;
mod checks;
mod files;
mod text;

use answers::Answers;
use checks::{Checked, Finding};
use files::Overlay;
use jiff::civil::Date;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{self, Notification as _};
use lsp_types::request::{self, Request as _};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOptions, CodeActionOrCommand, CodeActionParams, CompletionOptions,
    CompletionResponse, DidChangeWatchedFilesRegistrationOptions, DocumentSymbolResponse, FileSystemWatcher,
    GlobPattern, GotoDefinitionResponse, InitializeParams, InitializeResult, OneOf, PublishDiagnosticsParams,
    Registration, RegistrationParams, ServerCapabilities, ServerInfo, TextDocumentPositionParams,
    TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions, Url, WorkspaceEdit,
};
use planc::Files;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use text::Units;

/// So long the editor must have said nothing before texts are checked.
const SILENCE: Duration = Duration::from_millis(20);

/// Serves one editor until it goes; whether it said good-bye as the protocol asks.
pub(crate) fn serve(disk: &dyn Files, today: fn() -> Date) -> Result<bool, String> {
    let (connection, threads) = Connection::stdio();
    let Some(Client { units, watches }) = initialize(&connection) else { return Ok(false) };
    let mut server = Server {
        connection: &connection,
        files: Overlay::new(disk, units),
        units,
        watches,
        today,
        checked: BTreeMap::new(),
        stale: BTreeSet::new(),
        published: BTreeMap::new(),
        shut_down: false,
    };
    let polite = server.run();
    // The threads end with the connection.
    drop(connection);
    match threads.join() {
        Err(error) if !polite => Err(format!("what the editor sends cannot be read: {error}")),
        _ => Ok(polite),
    }
}

/// What the editor said of itself.
struct Client {
    units: Units,
    /// It can be asked to tell of files that change outside it.
    watches: bool,
}

/// Waits for `initialize` and answers it; nothing else is answered before.
fn initialize(connection: &Connection) -> Option<Client> {
    loop {
        let request = match connection.receiver.recv().ok()? {
            Message::Request(request) => request,
            Message::Notification(told) if told.method == notification::Exit::METHOD => return None,
            _ => continue,
        };
        if request.method != request::Initialize::METHOD {
            let message = "`initialize` comes first".to_string();
            let code = ErrorCode::ServerNotInitialized as i32;
            connection.sender.send(Response::new_err(request.id, code, message).into()).ok()?;
            continue;
        }
        let params: InitializeParams = serde_json::from_value(request.params).unwrap_or_default();
        let general = params.capabilities.general.as_ref();
        let units = Units::agreed(general.and_then(|general| general.position_encodings.as_deref()));
        let version = Some(env!("CARGO_PKG_VERSION").into());
        let result = InitializeResult {
            capabilities: capabilities(units),
            server_info: Some(ServerInfo { name: "planc".into(), version }),
        };
        connection.sender.send(Response::new_ok(request.id, result).into()).ok()?;
        let workspace = params.capabilities.workspace.unwrap_or_default();
        let watches = workspace.did_change_watched_files.and_then(|watched| watched.dynamic_registration);
        return Some(Client { units, watches: watches.unwrap_or(false) });
    }
}

fn capabilities(units: Units) -> ServerCapabilities {
    let triggers = [" ", ":", ".", "{", ",", "|"];
    ServerCapabilities {
        position_encoding: Some(units.kind()),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(true.into()),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(true.into()),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(triggers.map(String::from).to_vec()),
            ..CompletionOptions::default()
        }),
        code_action_provider: Some(
            CodeActionOptions {
                code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
                ..CodeActionOptions::default()
            }
            .into(),
        ),
        ..ServerCapabilities::default()
    }
}

struct Server<'c> {
    connection: &'c Connection,
    files: Overlay<'c>,
    units: Units,
    watches: bool,
    /// Asked for each check: an editor stays open over midnight.
    today: fn() -> Date,
    /// Each open file as it was last checked.
    checked: BTreeMap<String, Checked>,
    /// Open files that have to be checked again.
    stale: BTreeSet<String>,
    /// What the editor was last told, by path.
    published: BTreeMap<String, (Option<i32>, Vec<Finding>)>,
    shut_down: bool,
}

impl Server<'_> {
    /// Answers until `exit` or the end of the stream; true when `shutdown` came before.
    fn run(&mut self) -> bool {
        loop {
            let message = if self.stale.is_empty() {
                match self.connection.receiver.recv() {
                    Ok(message) => message,
                    Err(_) => return false,
                }
            } else {
                match self.connection.receiver.recv_timeout(SILENCE) {
                    Ok(message) => message,
                    Err(error) if error.is_timeout() => {
                        self.check();
                        continue;
                    }
                    Err(_) => return false,
                }
            };
            match message {
                Message::Notification(n) if n.method == notification::Exit::METHOD => return self.shut_down,
                Message::Notification(notification) => self.take(notification),
                Message::Request(request) => {
                    let response = self.answer(request);
                    self.send(response.into());
                }
                // To our own request to watch files: nothing hangs on it.
                Message::Response(_) => {}
            }
        }
    }

    /// An editor that is gone is noticed when reading.
    fn send(&self, message: Message) {
        let _ = self.connection.sender.send(message);
    }

    fn notify<N: notification::Notification>(&self, params: N::Params) {
        self.send(Notification::new(N::METHOD.into(), params).into());
    }

    /// Asks to be told of files that change outside the editor.
    fn watch(&self) {
        let watcher = FileSystemWatcher {
            glob_pattern: GlobPattern::String("**/*.{yaml,yml,json}".into()),
            kind: None,
        };
        let options = DidChangeWatchedFilesRegistrationOptions { watchers: vec![watcher] };
        let registration = Registration {
            id: "files".into(),
            method: notification::DidChangeWatchedFiles::METHOD.into(),
            register_options: serde_json::to_value(options).ok(),
        };
        let params = RegistrationParams { registrations: vec![registration] };
        let id = RequestId::from("watch".to_string());
        self.send(Request::new(id, request::RegisterCapability::METHOD.into(), params).into());
    }

    // What the editor tells.

    /// What is unknown or cannot be read is passed over, as the protocol asks.
    fn take(&mut self, told: Notification) {
        match told.method.as_str() {
            notification::Initialized::METHOD if self.watches => self.watch(),
            notification::DidOpenTextDocument::METHOD => {
                let Some(params) = read::<notification::DidOpenTextDocument>(told) else { return };
                let opened = params.text_document;
                let path = self.files.open(opened.uri, opened.version, opened.text);
                self.outdate(&path);
                self.stale.insert(path);
            }
            notification::DidChangeTextDocument::METHOD => {
                let Some(params) = read::<notification::DidChangeTextDocument>(told) else { return };
                let path = files::path(&params.text_document.uri);
                self.files.edit(&path, params.text_document.version, params.content_changes);
                self.outdate(&path);
            }
            notification::DidSaveTextDocument::METHOD => {
                let Some(params) = read::<notification::DidSaveTextDocument>(told) else { return };
                self.outdate(&files::path(&params.text_document.uri));
            }
            notification::DidCloseTextDocument::METHOD => {
                let Some(params) = read::<notification::DidCloseTextDocument>(told) else { return };
                let path = files::path(&params.text_document.uri);
                self.files.open.remove(&path);
                self.checked.remove(&path);
                self.stale.remove(&path);
                self.outdate(&path);
                if self.stale.is_empty() {
                    self.publish();
                }
            }
            notification::DidChangeWatchedFiles::METHOD => {
                let Some(params) = read::<notification::DidChangeWatchedFiles>(told) else { return };
                params.changes.iter().for_each(|change| self.outdate(&files::path(&change.uri)));
            }
            _ => {}
        }
    }

    /// Every open file that hangs on a path has to be checked again.
    fn outdate(&mut self, path: &str) {
        let hangs = self.checked.iter().filter(|(_, checked)| checked.reads.contains(path));
        self.stale.extend(hangs.map(|(root, _)| root.clone()));
    }

    // What the editor is told.

    fn check(&mut self) {
        while let Some(path) = self.stale.pop_first() {
            let checked = checks::check(&self.files, &path, self.units, (self.today)());
            self.checked.insert(path, checked);
        }
        self.publish();
    }

    /// Tells of every file about which something is new.
    fn publish(&mut self) {
        let mut told: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        for path in self.files.open.keys() {
            told.insert(path.clone(), Vec::new());
        }
        for (root, checked) in &self.checked {
            // A fixture alone knows less than the plan that uses it.
            let used = |other: &str, by: &Checked| other != root && by.reads.contains(root);
            if self.checked.iter().any(|(other, by)| used(other, by)) {
                continue;
            }
            for (path, findings) in &checked.findings {
                let list = told.entry(path.clone()).or_default();
                let new = findings.iter().filter(|finding| !list.contains(finding)).cloned();
                let new: Vec<Finding> = new.collect();
                list.extend(new);
            }
        }
        let gone = self.published.keys().filter(|path| !told.contains_key(*path)).cloned();
        let gone: Vec<String> = gone.collect();
        told.extend(gone.into_iter().map(|path| (path, Vec::new())));
        for (path, findings) in told {
            let version = self.files.open.get(&path).map(|buffer| buffer.version);
            let news = (version, findings);
            if self.published.get(&path) != Some(&news) {
                self.tell(&path, &news);
            }
            if news.0.is_none() && news.1.is_empty() {
                self.published.remove(&path);
            } else {
                self.published.insert(path, news);
            }
        }
    }

    fn tell(&self, path: &str, (version, findings): &(Option<i32>, Vec<Finding>)) {
        let uri = self.files.url(path).or_else(|| Url::parse(path).ok());
        let Some(uri) = uri else { return };
        let diagnostics = findings.iter().map(|finding| finding.diagnostic.clone()).collect();
        let params = PublishDiagnosticsParams { uri, diagnostics, version: *version };
        self.notify::<notification::PublishDiagnostics>(params);
    }

    // What the editor asks.

    fn answer(&mut self, asked: Request) -> Response {
        if self.shut_down {
            let message = "the server is shut down".to_string();
            return Response::new_err(asked.id, ErrorCode::InvalidRequest as i32, message);
        }
        match asked.method.as_str() {
            request::Shutdown::METHOD => {
                self.shut_down = true;
                Response::new_ok(asked.id, ())
            }
            request::HoverRequest::METHOD => reply::<request::HoverRequest>(asked, |params| {
                let at = params.text_document_position_params;
                self.about(&at)?.hover(at.position)
            }),
            request::GotoDefinition::METHOD => reply::<request::GotoDefinition>(asked, |params| {
                let at = params.text_document_position_params;
                Some(GotoDefinitionResponse::Array(self.about(&at)?.definition(at.position)))
            }),
            request::References::METHOD => reply::<request::References>(asked, |params| {
                let at = params.text_document_position;
                let with_definition = params.context.include_declaration;
                Some(self.about(&at)?.references(at.position, with_definition))
            }),
            request::Completion::METHOD => reply::<request::Completion>(asked, |params| {
                let at = params.text_document_position;
                Some(CompletionResponse::Array(self.about(&at)?.completion(at.position)))
            }),
            request::DocumentSymbolRequest::METHOD => {
                reply::<request::DocumentSymbolRequest>(asked, |params| {
                    let path = files::path(&params.text_document.uri);
                    let answers = Answers::about(&self.files, &path, self.units)?;
                    Some(DocumentSymbolResponse::Nested(answers.symbols()))
                })
            }
            request::CodeActionRequest::METHOD => {
                reply::<request::CodeActionRequest>(asked, |params| Some(self.fixes(&params)))
            }
            other => {
                let message = format!("`{other}` is not known here");
                Response::new_err(asked.id, ErrorCode::MethodNotFound as i32, message)
            }
        }
    }

    fn about(&self, at: &TextDocumentPositionParams) -> Option<Answers<'_>> {
        Answers::about(&self.files, &files::path(&at.text_document.uri), self.units)
    }

    /// The edits that mend what was found in a range of the text as it stands.
    fn fixes(&self, params: &CodeActionParams) -> Vec<CodeActionOrCommand> {
        let path = files::path(&params.text_document.uri);
        let version = self.files.open.get(&path).map(|buffer| buffer.version);
        let Some((_, findings)) = self.published.get(&path).filter(|(known, _)| *known == version) else {
            return Vec::new();
        };
        let touches =
            |range: &lsp_types::Range| range.start <= params.range.end && params.range.start <= range.end;
        let here = findings.iter().filter(|finding| touches(&finding.diagnostic.range));
        here.filter_map(|finding| Some((finding, finding.fix.clone()?)))
            .map(|(finding, fix)| {
                let changes = HashMap::from([(fix.url, vec![fix.edit])]);
                CodeActionOrCommand::CodeAction(CodeAction {
                    title: fix.title,
                    kind: Some(CodeActionKind::QUICKFIX),
                    diagnostics: Some(vec![finding.diagnostic.clone()]),
                    edit: Some(WorkspaceEdit::new(changes)),
                    is_preferred: Some(true),
                    ..CodeAction::default()
                })
            })
            .collect()
    }
}

fn read<N: notification::Notification>(told: Notification) -> Option<N::Params>
where
    N::Params: DeserializeOwned,
{
    serde_json::from_value(told.params).ok()
}

/// Answers one kind of request; parameters that are not of its kind are told to be so.
fn reply<R: request::Request>(asked: Request, answer: impl FnOnce(R::Params) -> R::Result) -> Response
where
    R::Params: DeserializeOwned,
    R::Result: Serialize,
{
    match serde_json::from_value(asked.params) {
        Ok(params) => Response::new_ok(asked.id, answer(params)),
        Err(error) => Response::new_err(asked.id, ErrorCode::InvalidParams as i32, error.to_string()),
    }
}
