//! All rows as a JSON list for other tools, all or nothing.

use super::secrets::Secrets;
use crate::private;
use crate::rows::RowSource;
use planc::graph::Json;
use std::io::{self, Write};
use std::path::Path;

/// Writes the rows, with what the service told of each. For the owner alone when a value is a secret, or a column's name
/// says that it holds one.
pub(super) fn export(source: &RowSource, secrets: &Secrets, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let private = !secrets.is_empty() || source.columns().iter().any(|name| sounds_secret(name));
    private::replace(path, if private { 0o600 } else { 0o644 }, |out| {
        out.write_all(b"[")?;
        for n in 1..=source.rows() {
            out.write_all(if n == 1 { b"\n" } else { b",\n" })?;
            let row = source.row(n).map_err(io::Error::other)?;
            let mut row: serde_json::Map<String, Json> = row.into_iter().collect();
            row.extend(
                secrets.row(n).into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
            );
            serde_json::to_writer(&mut *out, &row)?;
        }
        out.write_all(b"\n]\n")
    })
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["password", "passwd", "secret", "token", "api_key", "apikey", "private"]
        .iter()
        .any(|word| name.contains(word))
}
