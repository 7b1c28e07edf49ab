//! What each operation declares of itself, read out of the OpenAPI document that the routes make.

use std::collections::HashMap;

use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use crate::domain::audit_event::AuditAction;

/// What the audit calls each operation.
#[derive(Debug, Default)]
pub(crate) struct AuditActions(HashMap<(String, Method), AuditAction>);

impl AuditActions {
    /// Reads what the operations of `document` declare.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let mut declared = HashMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if let Some(action) = operation.as_ref().and_then(action) {
                    declared.insert((path.clone(), method), action);
                }
            }
        }
        Self(declared)
    }

    /// What the audit calls the operation of a route; `None` for what is no operation.
    pub(crate) fn action(&self, route: &str, method: &Method) -> Option<AuditAction> {
        self.0.get(&(route.to_owned(), method.clone())).copied()
    }
}

fn action(operation: &Operation) -> Option<AuditAction> {
    let access = operation.extensions.as_ref()?.get("x-access")?;
    AuditAction::parse(access.get("audit")?.as_str()?)
}
