//! The text that the demo prints: commands to copy.

use std::fmt;
use std::path::Path;

use crate::secret::SecretString;

use super::page::how_to_get_elements;

/// The text that the demo prints once everything runs.
pub(super) struct DemoGuide<'a> {
    /// The broker's URL.
    pub(super) url: &'a str,
    /// The folder with the demo's files.
    pub(super) folder: &'a Path,
    /// True if the folder is kept when the demo ends.
    pub(super) kept: bool,
    /// The registered tenant.
    pub(super) tenant: &'a str,
    /// The tenant that the reader registers.
    pub(super) second_tenant: &'a str,
    /// The API key of an admin.
    pub(super) admin_key: &'a SecretString,
    /// The API key of a service; `None` if the tenant could not be registered.
    pub(super) service_key: Option<&'a SecretString>,
    /// The sandbox's URL; `None` if the broker uses the real Box.
    pub(super) sandbox: Option<String>,
    /// The config file that the reader registers.
    pub(super) key_json: &'a Path,
    /// The command that runs this program.
    pub(super) program: &'a str,
    /// The origin of the page with Box UI Elements; `None` if there is no page.
    pub(super) page: Option<&'a str>,
}

impl fmt::Display for DemoGuide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, folder, tenant, second_tenant, .. } = self;
        match &self.sandbox {
            Some(sandbox) => {
                writeln!(f, "\nThe broker is up at {url}, and a stand-in for Box at {sandbox}.")?
            }
            None => writeln!(f, "\nThe broker is up at {url}, and talks to the real Box.")?,
        }
        let stays =
            if self.kept { "stays there" } else { "is deleted when the demo ends; --data DIR keeps it" };
        writeln!(f, "Everything is in {} and {stays}.\n", folder.display())?;
        writeln!(f, "In another terminal, paste these first:\n")?;
        writeln!(f, "  export BTB_URL={url}")?;
        writeln!(f, "  export ADMIN={}", self.admin_key.expose())?;
        match self.service_key {
            Some(key) => {
                writeln!(f, "  export BTB_KEY={}", key.expose())?;
                writeln!(f, "\nThe tenant `{tenant}` is registered. A token for its service account:\n")?;
                post(f, "BTB_KEY", &format!("/v1/tenants/{tenant}/token"), None)?;
                self.tokens(f)?;
            }
            None => {
                writeln!(f, "\nThe tenant could not be registered; the reason is above. After fixing it:")?
            }
        }
        let (name, title) = match (self.service_key, &self.sandbox) {
            (Some(_), Some(_)) => {
                (*second_tenant, "Register a second tenant, as an admin, from Box's own config file")
            }
            _ => (*tenant, "Register the tenant, as an admin, from Box's own config file"),
        };
        if self.service_key.is_none() || self.sandbox.is_some() {
            writeln!(f, "\n{title}:\n")?;
            writeln!(
                f,
                "  printf '{{\"tenant\":\"{name}\",\"config\":%s}}' \"$(cat {})\" |\n    curl -sS $BTB_URL/v1/tenants \
                 -H \"Authorization: Bearer $ADMIN\" -H 'Content-Type: application/json' -d @-",
                self.key_json.display()
            )?;
        }
        writeln!(
            f,
            "\nCheck what works between the tenant and Box, and what to click if something does not:\n"
        )?;
        post(f, "ADMIN", &format!("/v1/tenants/{tenant}/test"), None)?;
        match self.page {
            Some(page) => {
                writeln!(f, "\nBox UI Elements with tokens from the broker are on a page at {page}/")?
            }
            None => self.elements(f)?,
        }
        writeln!(f, "\nThe whole HTTP API is at {url}/docs, to read and to try out in a browser.")?;
        writeln!(f, "\nCtrl-C ends the demo.")
    }
}

impl DemoGuide<'_> {
    fn elements(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = if self.sandbox.is_some() { "" } else { " --key-json FILE --folder ID" };
        writeln!(f, "\nTo see Box UI Elements with tokens from the broker, {}.", how_to_get_elements())?;
        writeln!(
            f,
            "Then start the demo with them:\n\n  {} demo{again} --ui-elements package/dist",
            self.program
        )
    }

    fn tokens(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenant = self.tenant;
        // The first enterprise of the sandbox has this user and this folder. At the real Box, the reader has others.
        let (user, folder) = match self.sandbox {
            Some(_) => ("10000001001", "20000001002"),
            None => ("USER_ID", "FOLDER_ID"),
        };
        writeln!(f, "\nA token to act as a user:\n")?;
        let subject = format!("{{\"subject\":{{\"type\":\"user\",\"id\":\"{user}\"}}}}");
        post(f, "BTB_KEY", &format!("/v1/tenants/{tenant}/token"), Some(&subject))?;
        writeln!(f, "\nA token for a browser: previews of one folder, and nothing else:\n")?;
        let narrow = format!(
            "{{\"subject\":{{\"type\":\"user\",\"id\":\"{user}\"}},\"preset\":\"preview\",\
             \"resource\":{{\"type\":\"folder\",\"id\":\"{folder}\"}}}}"
        );
        post(f, "BTB_KEY", &format!("/v1/tenants/{tenant}/token/downscoped"), Some(&narrow))?;
        if let Some(sandbox) = &self.sandbox {
            writeln!(f, "\nUse a token at the stand-in for Box:\n")?;
            writeln!(
                f,
                "  curl -sS {sandbox}/2.0/users/me -H \"Authorization: Bearer $({} token {tenant})\"",
                self.program
            )?;
            writeln!(f, "  curl -sS {sandbox}/sandbox/journal")?;
        }
        writeln!(f, "\nA refusal: this service may get tokens, but not register tenants:\n")?;
        post(f, "BTB_KEY", "/v1/tenants", Some("{\"tenant\":\"mine\"}"))?;
        writeln!(f, "\nAnother refusal: a tenant that is not its own looks as if it did not exist:\n")?;
        post(f, "BTB_KEY", &format!("/v1/tenants/{}/token", self.second_tenant), None)
    }
}

fn post(f: &mut fmt::Formatter<'_>, key: &str, path: &str, body: Option<&str>) -> fmt::Result {
    write!(f, "  curl -sS -X POST $BTB_URL{path} -H \"Authorization: Bearer ${key}\"")?;
    match body {
        Some(body) => writeln!(f, " \\\n    -H 'Content-Type: application/json' -d '{body}'"),
        None => writeln!(f),
    }
}
