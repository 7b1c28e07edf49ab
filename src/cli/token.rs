//! `token`: one token, for a script or a look by hand.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::secret::SecretString;

use super::broker::{BrokerArgs, box_id, tenant};
use super::failure::Failure;
use super::terminal;

/// Get a Box access token of a tenant, and print it and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TokenArgs {
    /// The tenant's name or ID.
    #[arg(value_parser = tenant)]
    tenant: String,
    /// Act as this user of the enterprise, instead of the app's service account.
    #[arg(long, value_name = "ID", value_parser = box_id)]
    user: Option<String>,
    /// The least life that the token has left, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3000))]
    min_ttl: Option<u32>,
    /// Restrict the token to these scopes. May be repeated or comma-separated.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', group = "restriction")]
    scopes: Vec<String>,
    /// Restrict the token to what one of Box's UI Elements needs.
    #[arg(long, value_enum, group = "restriction")]
    preset: Option<PresetArg>,
    /// Restrict the token to this file.
    #[arg(long, value_name = "ID", value_parser = box_id, requires = "restriction")]
    file: Option<String>,
    /// Restrict the token to this folder and everything in it.
    #[arg(long, value_name = "ID", value_parser = box_id, requires = "restriction", conflicts_with = "file")]
    folder: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
}

const EXAMPLES: &str = "\
Examples:
  A full token for the service account, straight into a call to Box:
    curl -H \"Authorization: Bearer $(box-token-broker token acme)\" https://api.box.com/2.0/users/me

  A user's token with at least ten minutes left:
    box-token-broker token acme --user 12345 --min-ttl 600

  A token that can only preview one file:
    box-token-broker token acme --preset preview --file 67890

  The whole answer, with times and restrictions:
    box-token-broker token acme --scope item_download,item_preview --folder 11111 --json";

/// A UI Element.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PresetArg {
    Explorer,
    Picker,
    Uploader,
    Preview,
    Sidebar,
}

impl PresetArg {
    fn name(self) -> &'static str {
        match self {
            Self::Explorer => "explorer",
            Self::Picker => "picker",
            Self::Uploader => "uploader",
            Self::Preview => "preview",
            Self::Sidebar => "sidebar",
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
}

pub(super) async fn run(args: TokenArgs) -> Result<(), Failure> {
    let broker = args.broker.connect()?;
    let body = args.body();
    let path = ["v1", "tenants", &args.tenant, "token", "downscoped"];
    let path = if args.is_restricted() { &path[..] } else { &path[..4] };
    let answer = broker.post(path, &[], &body).await?;
    if args.broker.json {
        return terminal::print(answer.body.expose());
    }
    let TokenAnswer { access_token } = answer.read()?;
    terminal::print(access_token.expose())
}

impl TokenArgs {
    fn is_restricted(&self) -> bool {
        self.preset.is_some() || !self.scopes.is_empty()
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let thing = |kind: &str, id: &String| json!({ "type": kind, "id": id });
        put("subject", self.user.as_ref().map(|id| thing("user", id)));
        put("min_ttl", self.min_ttl.map(Value::from));
        put("scopes", (!self.scopes.is_empty()).then(|| json!(self.scopes)));
        put("preset", self.preset.map(|preset| Value::from(preset.name())));
        put("resource", self.file.as_ref().map(|id| thing("file", id)));
        put("resource", self.folder.as_ref().map(|id| thing("folder", id)));
        Value::Object(body)
    }
}
