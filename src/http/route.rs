//! The declaration of one route, from which the router, the OpenAPI document and the authorisation matrix of the
//! tests are made.

use std::fmt;

use axum::http::Method;
use axum::routing::MethodRouter;
use axum::{Extension, Router};
use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder,
};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::http::api::Api;
use crate::http::rate_limits::TenantLimitExempt;

/// A set of routes that are served by the same listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteGroup {
    /// The routes for internal services.
    Service,
    /// The routes for admins.
    Admin,
    /// The routes for pages in browsers.
    Browser,
    /// The routes for orchestrators.
    Operations,
}

impl RouteGroup {
    /// Returns the group's name in the OpenAPI document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Admin => "admin",
            Self::Browser => "browser",
            Self::Operations => "operations",
        }
    }
}

/// The credential and permission that a route demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A caller with a grant of this permission.
    Permission(Permission),
    /// A caller with a grant of this permission, which authenticates as an OAuth client as Box's own clients do.
    OAuthClient(Permission),
    /// Any caller: the answer is about that caller alone.
    AnyCaller,
    /// A browser session.
    BrowserSession,
    /// Nothing: the answer is the same for everybody.
    Public,
}

impl From<Permission> for Access {
    fn from(permission: Permission) -> Self {
        Self::Permission(permission)
    }
}

impl Access {
    /// Returns the permission that a grant has to give, if any.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::Permission(permission) | Self::OAuthClient(permission) => Some(permission),
            Self::AnyCaller | Self::BrowserSession | Self::Public => None,
        }
    }

    /// Returns the security requirements of the OpenAPI document; any one of them is enough.
    fn security(self) -> Vec<SecurityRequirement> {
        let scheme = |name: &str| SecurityRequirement::new(name, [""; 0]);
        match self {
            Self::Permission(_) | Self::AnyCaller => vec![scheme("api_key")],
            // The form may carry the credentials, which OpenAPI cannot express.
            Self::OAuthClient(_) => vec![SecurityRequirement::default(), scheme("client")],
            Self::BrowserSession => vec![scheme("browser_session")],
            Self::Public => Vec::new(),
        }
    }
}

/// A route: method, path, listener, access, audit action, handler and description.
///
/// Method and path come from the `#[utoipa::path]` of the handler, so that the router and the OpenAPI document cannot
/// differ. The other parts are arguments of the constructors.
///
/// ```
/// use axum::extract::State;
/// use box_token_broker::domain::audit_event::AuditAction;
/// use box_token_broker::domain::grant::Permission;
/// use box_token_broker::http::Api;
/// use box_token_broker::http::route::Route;
/// use utoipa_axum::routes;
///
/// /// Returns nothing.
/// #[utoipa::path(get, path = "/v1/nothing", responses((status = 204, description = "Nothing")))]
/// async fn nothing(State(_api): State<Api>) {}
///
/// let route = Route::admin(Permission::TenantsRead, AuditAction::TenantRead, routes!(nothing));
/// assert_eq!((route.method().as_str(), route.path()), ("GET", "/v1/nothing"));
/// ```
///
/// A route without access does not compile:
///
/// ```compile_fail,E0061
/// # use axum::extract::State;
/// # use box_token_broker::domain::audit_event::AuditAction;
/// # use box_token_broker::http::Api;
/// # use box_token_broker::http::route::Route;
/// # use utoipa_axum::routes;
/// # #[utoipa::path(get, path = "/v1/nothing", responses((status = 204, description = "Nothing")))]
/// # async fn nothing(State(_api): State<Api>) {}
/// let route = Route::admin(AuditAction::TenantRead, routes!(nothing));
/// ```
///
/// Nor does one without an audit action:
///
/// ```compile_fail,E0061
/// # use axum::extract::State;
/// # use box_token_broker::domain::grant::Permission;
/// # use box_token_broker::http::Api;
/// # use box_token_broker::http::route::Route;
/// # use utoipa_axum::routes;
/// # #[utoipa::path(get, path = "/v1/nothing", responses((status = 204, description = "Nothing")))]
/// # async fn nothing(State(_api): State<Api>) {}
/// let route = Route::admin(Permission::TenantsRead, routes!(nothing));
/// ```
#[derive(Debug)]
pub struct Route {
    method: Method,
    path: String,
    group: RouteGroup,
    access: Access,
    handler: MethodRouter<Api>,
    description: Option<Description>,
}

/// The parts of a route that only documented routes have.
struct Description {
    audit: AuditAction,
    operation: Operation,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description").field("audit", &self.audit).finish_non_exhaustive()
    }
}

impl Route {
    /// Returns a route for internal services.
    pub fn service(access: impl Into<Access>, audit: AuditAction, handler: UtoipaMethodRouter<Api>) -> Self {
        Self::documented(RouteGroup::Service, access.into(), audit, handler)
    }

    /// Returns a route for admins. A tenant's rate limit does not apply to it, so that an admin can take a tenant out
    /// of service that is flooded with requests.
    pub fn admin(access: impl Into<Access>, audit: AuditAction, handler: UtoipaMethodRouter<Api>) -> Self {
        let route = Self::documented(RouteGroup::Admin, access.into(), audit, handler);
        Self { handler: route.handler.layer(Extension(TenantLimitExempt)), ..route }
    }

    /// Returns a route for pages in browsers.
    pub fn browser(access: impl Into<Access>, audit: AuditAction, handler: UtoipaMethodRouter<Api>) -> Self {
        Self::documented(RouteGroup::Browser, access.into(), audit, handler)
    }

    /// Returns a `GET` route that everybody may call, and that the OpenAPI document does not list.
    pub(crate) fn public(group: RouteGroup, path: &str, handler: MethodRouter<Api>) -> Self {
        let (method, path) = (Method::GET, path.to_owned());
        Self { method, path, group, access: Access::Public, handler, description: None }
    }

    fn documented(
        group: RouteGroup,
        access: Access,
        audit: AuditAction,
        (schemas, paths, handler): UtoipaMethodRouter<Api>,
    ) -> Self {
        #[expect(clippy::expect_used, reason = "`routes!` of one handler makes one operation")]
        let (method, path, mut operation) = sole_operation(paths).expect("one handler in `routes!`");
        add_path_parameters(&mut operation, &path);
        add_problem(&mut operation, access);
        operation.security = Some(access.security());
        operation.extensions = Some(access_extension(group, access, audit));
        let description = Some(Description { audit, operation, schemas });
        Self { method, path, group, access, handler, description }
    }

    /// Returns the HTTP method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path, such as `/v1/tenants/{tenant}`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the group, which decides on which listener the route is.
    #[must_use]
    pub fn group(&self) -> RouteGroup {
        self.group
    }

    /// Returns the credential and permission that the route demands.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Returns the action under which the audit records the route; `None` for public routes.
    #[must_use]
    pub fn audit(&self) -> Option<AuditAction> {
        self.description.as_ref().map(|description| description.audit)
    }

    /// Returns the operation in the OpenAPI document; `None` for public routes.
    #[must_use]
    pub fn operation(&self) -> Option<&Operation> {
        self.description.as_ref().map(|description| &description.operation)
    }

    /// Adds the route to a router.
    pub(crate) fn mount_on(self, router: Router<Api>) -> Router<Api> {
        router.route(&self.path, self.handler)
    }

    /// Adds the route to an OpenAPI document, unless it is public.
    pub(crate) fn describe_in(self, document: &mut OpenApi) {
        let Some(Description { operation, schemas, .. }) = self.description else { return };
        let mut item = PathItem::default();
        let place = match self.method {
            Method::GET => &mut item.get,
            Method::PUT => &mut item.put,
            Method::PATCH => &mut item.patch,
            Method::DELETE => &mut item.delete,
            _ => &mut item.post,
        };
        *place = Some(operation);
        document.paths.paths.entry(self.path).or_default().merge_operations(item);
        document.components.get_or_insert_default().schemas.extend(schemas);
    }
}

/// Returns the method, path and operation of paths that hold one operation.
fn sole_operation(paths: Paths) -> Option<(Method, String, Operation)> {
    let (path, PathItem { get, post, put, patch, delete, .. }) = paths.paths.into_iter().next()?;
    let operations = [
        (Method::GET, get),
        (Method::POST, post),
        (Method::PUT, put),
        (Method::PATCH, patch),
        (Method::DELETE, delete),
    ];
    let mut found = operations.into_iter().filter_map(|(method, operation)| Some((method, operation?)));
    let (method, operation) = found.next()?;
    found.next().is_none().then_some((method, path, operation))
}

/// Puts the parameters of a path before those that the operation declares itself.
fn add_path_parameters(operation: &mut Operation, path: &str) {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<RefOr<Parameter>> = names.map(|name| path_parameter(name).into()).collect();
    if !parameters.is_empty() {
        operation.parameters.get_or_insert_default().splice(0..0, parameters);
    }
}

fn path_parameter(name: &str) -> Parameter {
    let description = match name {
        "tenant" => "The tenant's name or id",
        "app" => "The app's name or id",
        "caller" => "The caller's name or id",
        "key" => "The key's id",
        "trust" => "The trust's id",
        "keypair" => "The keypair's id",
        "session" => "The session's id",
        _ => "The id",
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// Adds the response to every error: a problem document, or Box's own shape for OAuth clients.
fn add_problem(operation: &mut Operation, access: Access) {
    let (description, schema, media_type) = match access {
        Access::OAuthClient(_) => ("The error, in Box's shape", "BoxError", "application/json"),
        _ => ("The error and its remedy", "Problem", "application/problem+json"),
    };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let response = ResponseBuilder::new().description(description).content(media_type, content).build();
    operation.responses.responses.insert("default".to_owned(), response.into());
}

fn access_extension(group: RouteGroup, access: Access, audit: AuditAction) -> Extensions {
    let value = json!({ "permission": access.permission(), "group": group.name(), "audit": audit });
    Extensions::builder().add("x-access", value).build()
}
