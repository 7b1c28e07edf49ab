//! The OpenAPI 3.1 document, made from the routes, and the page that shows it.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use bytes::Bytes;
use url::Url;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, ComponentsBuilder, InfoBuilder, License, OpenApiBuilder, Server};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::api::Api;
use crate::http::error::box_shape::BoxErrorResponse;
use crate::http::error::problem::ProblemDocument;
use crate::http::route::{Route, RouteGroup};
use crate::http::routes;

/// Returns the OpenAPI document of all routes. `public_url` is the server that it names.
#[must_use]
pub fn openapi(public_url: Option<&Url>) -> String {
    let mut document = OpenApiBuilder::new()
        .info(info())
        .servers(public_url.map(|url| [Server::new(url.as_str().trim_end_matches('/'))]))
        .components(Some(components()))
        .build();
    for route in routes::all() {
        route.describe_in(&mut document);
    }
    // The document is made of texts alone, which always serialise.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Returns the routes of the OpenAPI document and of the page that shows it.
pub(crate) fn reference_routes(api: &Api) -> Router<Api> {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    let document = Bytes::from(openapi(api.public_url.as_ref()));
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], document.clone());
    Route::public(RouteGroup::Admin, "/openapi.json", get(answer)).mount_on(Router::from(page))
}

fn info() -> utoipa::openapi::Info {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    InfoBuilder::new()
        .title("Box Token Broker")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Holds the keys of many customers' Box apps and hands out access tokens: full ones to internal \
             services, downscoped ones for browsers. `x-access` names the permission that a caller's grant \
             must contain (`permission`), the listener of the route (`group`), and its name in the audit \
             (`audit`).",
        ))
        .license(Some(license))
        .build()
}

/// Returns the security schemes, and the schemas of the error responses, which every operation has.
fn components() -> Components {
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("btb_<id>_<secret>")
        .description(Some(
            "An API key of this broker, or a token of an OIDC issuer that a caller's trust matches.",
        ))
        .build();
    let session = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("btbs_<key>_<id>_<signature>")
        .description(Some("A browser session, as returned by `open_browser_session`."))
        .build();
    let client = Http::builder()
        .scheme(HttpAuthScheme::Basic)
        .description(Some(
            "An API key as client credentials, for clients of Box's grant: the user name is \
             `btb_<id>-<tenant>`, and the password the whole key. The form fields do as well.",
        ))
        .build();
    let mut components = ComponentsBuilder::new()
        .security_scheme("api_key", SecurityScheme::Http(bearer))
        .security_scheme("browser_session", SecurityScheme::Http(session))
        .security_scheme("client", SecurityScheme::Http(client))
        .build();
    add_schema::<ProblemDocument<'_>>(&mut components);
    add_schema::<BoxErrorResponse<'_>>(&mut components);
    components
}

/// Adds a schema and all schemas that it refers to.
fn add_schema<T: PartialSchema + ToSchema>(components: &mut Components) {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    components.schemas.extend(schemas);
}
