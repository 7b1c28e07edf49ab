//! `audit report`: writes one month of one tenant, for the customer.

use std::io;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::audit::UsageReport;
use crate::domain::audit_event::{AuditAction, AuditOutcome};
use crate::registry::callers::grants::parse_tenant;
use crate::store::{AuditCursor, AuditFilter, PageRequest, Store, TenantRef};

use super::super::database;
use super::super::failure::Failure;
use super::super::settings::ConfigArg;
use super::BATCH_SIZE;

/// Write a CSV of who received a tenant's tokens in a month, for what and how often.
///
/// `on_behalf_of_as_claimed` is what callers claimed, unchecked. No cell begins like a formula.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker audit report --tenant acme --month 2026-01 > acme-2026-01.csv")]
pub(super) struct ReportArgs {
    /// The tenant's name, or its ID if it was erased.
    #[arg(long, value_parser = tenant)]
    tenant: TenantRef,
    /// The month (UTC), such as 2026-01.
    #[arg(long, value_parser = month)]
    month: Month,
    #[command(flatten)]
    config: ConfigArg,
}

/// A calendar month in UTC: from its first moment to that of the next one.
#[derive(Clone, Copy, Debug)]
struct Month {
    since: Timestamp,
    until: Timestamp,
}

fn tenant(text: &str) -> Result<TenantRef, String> {
    parse_tenant(text).ok_or_else(|| "this is no tenant's name or id".to_owned())
}

fn month(text: &str) -> Result<Month, String> {
    let wrong = |_| "write a month as 2026-01".to_owned();
    let first: Date = format!("{text}-01").parse().map_err(wrong)?;
    let next = first.checked_add(jiff::Span::new().months(1)).map_err(wrong)?;
    let begins = |date: Date| jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(wrong);
    Ok(Month { since: begins(first)?, until: begins(next)? })
}

pub(super) async fn run(args: ReportArgs) -> Result<(), Failure> {
    let (_, store) = database::open(&args.config.load()?).await?;
    let tenant = match (store.tenant(&args.tenant).await?, args.tenant) {
        (Some(tenant), _) => tenant.id,
        (None, TenantRef::Id(id)) => id,
        (None, TenantRef::Name(name)) => {
            return Err(Failure::failed(format!("there is no tenant {name}; name an erased one by its id")));
        }
    };
    let filter = AuditFilter {
        tenant: Some(tenant),
        action: Some(AuditAction::TokenRelease),
        outcome: Some(AuditOutcome::Done),
        since: Some(args.month.since),
        until: Some(args.month.until),
        ..AuditFilter::default()
    };
    let report = report(&*store, &filter).await?;
    report
        .write_csv(io::stdout().lock())
        .map_err(|error| Failure::failed(format!("standard output cannot be written: {error}")))
}

async fn report(store: &dyn Store, filter: &AuditFilter) -> Result<UsageReport, Failure> {
    let mut report = UsageReport::default();
    let mut after: Option<AuditCursor> = None;
    loop {
        let page = PageRequest { after, limit: BATCH_SIZE };
        let page = store.audit_records(filter, &page).await?;
        if page.refused > 0 {
            let told = "some of these records were altered: run `audit verify`, which names the first";
            return Err(Failure::failed(told));
        }
        page.items.iter().for_each(|record| report.add(&record.event));
        after = match page.next {
            None => return Ok(report),
            next => next,
        };
    }
}
