//! What the library answers, in the protocol's types.

use super::files::Overlay;
use super::text::{Lines, Units};
use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionTextEdit, DocumentSymbol, Documentation, Hover,
    HoverContents, Location, MarkupContent, MarkupKind, Position, SymbolKind, TextEdit,
};
use planc::Files;
use planc::ide::{Completion, CompletionKind, Document, Kind, Outline, Place};

/// Answers about one file as it stands.
pub(super) struct Answers<'f> {
    files: &'f Overlay<'f>,
    text: String,
    document: Document<'f>,
    units: Units,
}

impl<'f> Answers<'f> {
    pub(super) fn about(files: &'f Overlay<'f>, path: &str, units: Units) -> Option<Self> {
        let document = Document::read(files, path)?;
        Some(Answers { files, text: files.read(path).ok()?, document, units })
    }

    fn lines(&self) -> Lines<'_> {
        Lines::of(&self.text, self.units)
    }

    pub(super) fn hover(&self, at: Position) -> Option<Hover> {
        let lines = self.lines();
        let hover = self.document.hover(lines.byte(at))?;
        Some(Hover {
            contents: HoverContents::Markup(markdown(hover.text)),
            range: Some(lines.range(&hover.range)),
        })
    }

    pub(super) fn definition(&self, at: Position) -> Vec<Location> {
        self.locations(self.document.definition(self.lines().byte(at)))
    }

    pub(super) fn references(&self, at: Position, with_definition: bool) -> Vec<Location> {
        self.locations(self.document.references(self.lines().byte(at), with_definition))
    }

    fn locations(&self, places: Vec<Place>) -> Vec<Location> {
        let location = |place: Place| {
            // A file that cannot be read has its first byte all the same.
            let text = self.files.read(&place.path).unwrap_or_default();
            let range = Lines::of(&text, self.units).range(&place.range);
            Some(Location { uri: self.files.url(&place.path)?, range })
        };
        places.into_iter().filter_map(location).collect()
    }

    pub(super) fn completion(&self, at: Position) -> Vec<CompletionItem> {
        let lines = self.lines();
        let found = self.document.complete(lines.byte(at));
        found.into_iter().enumerate().map(|(rank, found)| item(found, rank, at, &lines)).collect()
    }

    pub(super) fn symbols(&self) -> Vec<DocumentSymbol> {
        let lines = self.lines();
        self.document.outline().into_iter().map(|part| symbol(part, &lines)).collect()
    }
}

fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

fn item(found: Completion, rank: usize, at: Position, lines: &Lines<'_>) -> CompletionItem {
    let range = lines.range(&found.replace);
    // The protocol wants the line of the cursor and no other.
    let one_line = range.start.line == at.line && range.end.line == at.line;
    let range = if one_line { range } else { lsp_types::Range::new(at, at) };
    CompletionItem {
        kind: Some(match found.kind {
            CompletionKind::Key => CompletionItemKind::PROPERTY,
            CompletionKind::Word => CompletionItemKind::ENUM_MEMBER,
            CompletionKind::Name(_) => CompletionItemKind::REFERENCE,
            CompletionKind::Variable => CompletionItemKind::VARIABLE,
            CompletionKind::Function => CompletionItemKind::FUNCTION,
            CompletionKind::Metric => CompletionItemKind::FIELD,
            CompletionKind::Tag => CompletionItemKind::VALUE,
            CompletionKind::Condition => CompletionItemKind::SNIPPET,
        }),
        documentation: found.about.map(|about| Documentation::MarkupContent(markdown(about))),
        sort_text: Some(format!("{rank:04}")),
        filter_text: Some(found.label.clone()),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text: found.insert })),
        label: found.label,
        ..CompletionItem::default()
    }
}

#[allow(deprecated)] // The protocol's own old field has to be filled.
fn symbol(part: Outline, lines: &Lines<'_>) -> DocumentSymbol {
    let kind = match part.kind {
        None => SymbolKind::NAMESPACE,
        Some(Kind::Scenario) => SymbolKind::FUNCTION,
        Some(Kind::Fixture | Kind::File) => SymbolKind::STRUCT,
        Some(Kind::Column) => SymbolKind::FIELD,
        Some(Kind::Endpoint) => SymbolKind::METHOD,
        Some(Kind::Token | Kind::Scope) => SymbolKind::KEY,
        Some(Kind::Service) => SymbolKind::MODULE,
        Some(Kind::Input | Kind::Profile | Kind::Metric | Kind::Binding) => SymbolKind::VARIABLE,
    };
    let inner: Vec<DocumentSymbol> = part.inner.into_iter().map(|part| symbol(part, lines)).collect();
    DocumentSymbol {
        name: part.name,
        detail: None,
        kind,
        tags: None,
        deprecated: None,
        range: lines.range(&part.range),
        selection_range: lines.range(&part.key),
        children: (!inner.is_empty()).then_some(inner),
    }
}
