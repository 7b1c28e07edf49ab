//! What the demo prints: lines to copy.

use std::fmt;
use std::path::Path;

use crate::secret::SecretString;

use super::demo_page;

/// The demo's guide.
pub(super) struct Guide<'a> {
    pub url: &'a str,
    pub folder: &'a Path,
    /// True if the folder is kept when the demo ends.
    pub kept: bool,
    pub tenant: &'a str,
    pub second: &'a str,
    pub admin_key: &'a SecretString,
    /// None where Box did not let the tenant be registered.
    pub service_key: Option<&'a SecretString>,
    /// The sandbox's URL; none where the real Box is asked.
    pub sandbox: Option<String>,
    /// The config file to register.
    pub key_json: &'a Path,
    /// This program, as a shell finds it.
    pub program: &'a str,
    /// The origin of the page with Box UI Elements, where it is served.
    pub page: Option<&'a str>,
}

impl fmt::Display for Guide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, folder, tenant, second, .. } = self;
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
                (*second, "Register a second tenant, as an admin, from Box's own config file")
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

impl Guide<'_> {
    fn elements(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = if self.sandbox.is_some() { "" } else { " --key-json FILE --folder ID" };
        writeln!(
            f,
            "\nTo see Box UI Elements with tokens from the broker, {}.",
            demo_page::how_to_get_them()
        )?;
        writeln!(
            f,
            "Then start the demo with them:\n\n  {} demo{again} --ui-elements package/dist",
            self.program
        )
    }

    fn tokens(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenant = self.tenant;
        // The sandbox's first enterprise has these; at the real Box the reader has their own.
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
        post(f, "BTB_KEY", &format!("/v1/tenants/{}/token", self.second), None)
    }
}

fn post(f: &mut fmt::Formatter<'_>, key: &str, path: &str, body: Option<&str>) -> fmt::Result {
    write!(f, "  curl -sS -X POST $BTB_URL{path} -H \"Authorization: Bearer ${key}\"")?;
    match body {
        Some(body) => writeln!(f, " \\\n    -H 'Content-Type: application/json' -d '{body}'"),
        None => writeln!(f),
    }
}
