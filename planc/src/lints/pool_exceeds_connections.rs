//! A service whose pools want more connections than its database gives.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::ServiceKind;
use crate::resolved::ResolvedPlan;

/// Also found where only the living world knows the server.
pub(crate) const CODE: Code = Code { id: "P0430", name: "pool-exceeds-connections" };

pub(super) const LINT: Lint = Lint { code: CODE, page: include_str!("pool-exceeds-connections.md"), check };

/// `max_connections` where nobody sets it, as Postgres ships.
const MAX_CONNECTIONS: u64 = 100;

/// Only a Postgres of this plan's own is known before the run; of others `runner check --live` speaks.
fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let Some(database) = &plan.database else { return };
    let (Some((pool, span)), Some(name)) = (database.pool, &database.service) else { return };
    let Some(service) = plan.services.iter().find(|service| service.name == *name) else { return };
    let ServiceKind::Postgres { settings, .. } = &service.kind else { return };
    let written = settings.get("max_connections");
    let max = match written.map(|value| value.trim().parse::<u64>()) {
        None => MAX_CONNECTIONS,
        Some(Ok(max)) => max,
        Some(Err(_)) => return,
    };
    // Whoever uses the URL of a private Postgres is its superuser: what is reserved is reserved for him.
    let Some(sum) = pool.exceeds(max, 0) else { return };
    let wanted = pool.wanted();
    let message = format!("full pools want {wanted} connections, and `{name}` takes {max}");
    let mut diagnostic = Diagnostic::warning(LINT.code, span, message).note(sum);
    if let Some(place) = plan.origins.get(&format!("services.{name}")) {
        let label = match written {
            Some(_) => format!("`max_connections` is {max}"),
            None => format!("`max_connections` is not set, and {max} by default"),
        };
        diagnostic = diagnostic.also(*place, label);
    }
    diagnostics.push(
        diagnostic.help(format!(
            "write `settings: {{ max_connections: {wanted} }}` there, or make the pool smaller"
        )),
    );
}
