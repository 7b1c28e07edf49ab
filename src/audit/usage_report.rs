//! The usage report of one tenant, for the customer to read: who received tokens, for which purpose, how often.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::audit_event::{Actor, AuditAction, AuditEvent, AuditOutcome, Credential};

/// The columns of the report, in their order.
const COLUMNS: [&str; 10] = [
    "given_to",
    "caller_id",
    "on_behalf_of_as_claimed",
    "acting_as",
    "reach",
    "resource",
    "times",
    "first",
    "last",
    "credential",
];

/// The number of released tokens by recipient and kind.
#[derive(Debug, Default)]
pub struct UsageReport {
    rows: BTreeMap<[String; 7], Times>,
}

#[derive(Debug)]
struct Times {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl UsageReport {
    /// Adds an event; only releases of tokens count.
    pub fn add(&mut self, event: &AuditEvent) {
        if event.action != AuditAction::TokenRelease || event.outcome != AuditOutcome::Done {
            return;
        }
        let (name, id, credential) = match &event.actor {
            Actor::Caller { id, name, credential } => {
                (name.to_string(), id.to_string(), credential_kind(credential))
            }
            Actor::Unknown | Actor::CommandLine | Actor::Broker => (String::new(), String::new(), ""),
        };
        let text = |value: Option<String>| value.unwrap_or_default();
        let row = [
            name,
            id,
            text(event.on_behalf_of.as_ref().map(ToString::to_string)),
            text(event.subject.as_ref().map(ToString::to_string)),
            event.scopes.as_ref().map_or_else(|| unrestricted_reach(event), scopes),
            text(event.resource.as_ref().map(ToString::to_string)),
            credential.to_owned(),
        ];
        let times = self.rows.entry(row);
        let times = times.or_insert(Times { count: 0, first: event.at, last: event.at });
        times.count = times.count.saturating_add(event.count);
        times.first = times.first.min(event.at);
        times.last = times.last.max(event.at);
    }

    /// Writes the report as CSV (RFC 4180).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_csv(&self, out: impl std::io::Write) -> Result<(), csv::Error> {
        let mut out = csv::WriterBuilder::new()
            .quote_style(csv::QuoteStyle::Always)
            .terminator(csv::Terminator::CRLF)
            .from_writer(out);
        out.write_record(COLUMNS)?;
        for (row, Times { count, first, last }) in &self.rows {
            let [name, id, on_behalf_of, subject, reach, resource, credential] = row;
            let numbers = [count.to_string(), first.to_string(), last.to_string()];
            let [count, first, last] = &numbers;
            let cells = [name, id, on_behalf_of, subject, reach, resource, count, first, last, credential];
            out.write_record(cells.map(|cell| escape_formula(cell)))?;
        }
        out.flush()?;
        Ok(())
    }
}

fn credential_kind(credential: &Credential) -> &'static str {
    match credential {
        Credential::Key(_) => "api_key",
        Credential::Jwt { .. } => "jwt",
        Credential::Session(_) => "browser_session",
    }
}

/// Returns the reach of a token without scopes: everything, unless the record merges several tokens.
fn unrestricted_reach(event: &AuditEvent) -> String {
    if event.subject.is_some() { "everything" } else { "not told apart" }.to_owned()
}

fn scopes(scopes: &crate::domain::scope::ScopeSet) -> String {
    scopes.iter().map(crate::domain::scope::Scope::as_str).collect::<Vec<_>>().join(" ")
}

/// Returns a cell that no spreadsheet takes for a formula, wherever it splits the cell: an apostrophe precedes what may
/// be one.
fn escape_formula(cell: &str) -> String {
    let begins = |part: &str| {
        let first = part.trim_start().chars().next();
        first.is_some_and(|first| "=+-@|%\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(first))
    };
    let is_formula = cell.split([';', ',', '\t', '\r', '\n']).any(begins);
    if is_formula || cell.starts_with(['\t', '\r', '\n']) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit_event::AuditContext;
    use crate::domain::on_behalf_of::OnBehalfOf;

    fn release(on_behalf_of: &str, at: &str, count: u64) -> AuditEvent {
        AuditEvent {
            on_behalf_of: Some(OnBehalfOf::parse(on_behalf_of).unwrap()),
            count,
            ..AuditContext::BROKER.event(at.parse().unwrap(), AuditAction::TokenRelease)
        }
    }

    #[test]
    fn the_report_sums_releases_and_escapes_formulas() {
        let mut report = UsageReport::default();
        report.add(&release("=HYPERLINK(\"http://x\")", "2026-01-02T00:00:00Z", 2));
        report.add(&release("=HYPERLINK(\"http://x\")", "2026-01-01T00:00:00Z", 3));
        report.add(&AuditEvent { outcome: AuditOutcome::Refused, ..release("x", "2026-01-01T00:00:00Z", 1) });
        report.add(
            &AuditContext::BROKER.event("2026-01-01T00:00:00Z".parse().unwrap(), AuditAction::TokenMint),
        );
        let mut csv = Vec::new();
        report.write_csv(&mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines.len(), 2, "{csv}");
        assert!(lines[1].contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "{csv}");
        assert!(lines[1].contains("\"5\",\"2026-01-01T00:00:00Z\",\"2026-01-02T00:00:00Z\","), "{csv}");
        for cell in ["=1", "+1", "-1", "@a", " =1", "\t=1", "\r=1", "|x", "%x", "ann;=1", "a,@b", "\u{ff1d}1"]
        {
            assert!(escape_formula(cell).starts_with('\''), "{cell:?}");
        }
        assert_eq!(escape_formula("ann@example.com"), "ann@example.com");
    }
}
