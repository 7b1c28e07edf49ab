//! The users, folders and files that exist before the first request.

use bytes::Bytes;

use super::enterprise::{Enterprise, User};
use super::item::ItemKind::{self, File, Folder};
use super::item::{Author, Collaborator, FileVersion, Item, SEEDED_AT};
use crate::storage::FileContent;

/// The first number in the ids of the folder `Demo` and what is in it.
const FIRST_DEMO_ITEM: usize = 101;

const READ_ME: &str = "# Demo\n\nMade up by the sandbox. Rename, upload and delete as you like: it is gone with the \
                       sandbox.\n\n- `Pictures` holds two pictures.\n- `Reports` holds a report for each quarter.\n";
const MINUTES: &str =
    "Minutes\n\n1. A token for this folder opens nothing else.\n2. Everybody sees the folder.\n";
const FIGURES: &str = "month,orders,returns\nJanuary,120,3\nFebruary,98,1\nMarch,141,4\n";
const OUTLOOK: &str = "# Outlook\n\nMore of the same, and a little faster.\n";
const DAWN: &[u8] = include_bytes!("../assets/dawn.png");
const BOARD: &[u8] = include_bytes!("../assets/board.png");

/// The items of the folder `Demo`, itself first: kind, name, position of the parent folder in this list, content.
const DEMO_ITEMS: [(ItemKind, &str, usize, &[u8]); 11] = [
    (Folder, "Demo", 0, b""),
    (Folder, "Pictures", 0, b""),
    (Folder, "Reports", 0, b""),
    (Folder, "2025", 2, b""),
    (Folder, "Drafts", 0, b""),
    (File, "Read me.md", 0, READ_ME.as_bytes()),
    (File, "Minutes.txt", 0, MINUTES.as_bytes()),
    (File, "Dawn.png", 1, DAWN),
    (File, "Board.png", 1, BOARD),
    (File, "Figures.csv", 3, FIGURES.as_bytes()),
    (File, "Outlook.md", 2, OUTLOOK.as_bytes()),
];

impl Enterprise {
    /// Returns an enterprise with the standard population. `number` is the enterprise's number in its world, counted
    /// from 1. With `n` for this number in three digits, the population is:
    ///
    /// | user | id | |
    /// |---|---|---|
    /// | Ada | `10000n001` | managed |
    /// | Grace | `10000n002` | managed |
    /// | Tess | `10000n003` | managed, has yet to accept the terms of service |
    /// | Apollo | `10000n004` | an app user |
    ///
    /// | item | id | visible to |
    /// |---|---|---|
    /// | folder Contracts | `20000n001` | service accounts, Ada, Grace |
    /// | folder Contracts/2024 | `20000n002` | the same |
    /// | folder Invoices | `20000n003` | service accounts |
    /// | folder Ada's notes | `20000n004` | Ada |
    /// | folder Grace's drafts | `20000n005` | Grace |
    /// | file Contracts/Contract.pdf | `30000n001` | as its folder |
    /// | file Contracts/2024/Offer.docx | `30000n002` | as its folder |
    /// | file Invoices/Invoice.pdf | `30000n003` | as its folder |
    /// | file Ada's notes/Notes.txt | `30000n004` | as its folder |
    ///
    /// Contracts/2024 and Invoice.pdf have open shared links, `https://app.box.com/s/sandbox-<item id>`.
    #[must_use]
    pub fn populated(id: impl Into<String>, name: impl Into<String>, number: usize) -> Self {
        let mut enterprise = Self { number, ..Self::new(id, name) };
        for (user, name, managed, terms) in [
            (1, "Ada", true, false),
            (2, "Grace", true, false),
            (3, "Tess", true, true),
            (4, "Apollo", false, false),
        ] {
            enterprise.users.push(User {
                id: seed_id(1, number, user),
                login: format!("{}@{}.example", name.to_lowercase(), enterprise.id),
                name: name.to_owned(),
                managed,
                terms_of_service_required: terms,
            });
        }
        let user = |which| Collaborator::User(seed_id(1, number, which));
        let everybody = vec![Collaborator::ServiceAccounts, user(1), user(2)];
        enterprise.put_seed(Folder, 1, "Contracts", None, everybody, false);
        enterprise.put_seed(Folder, 2, "2024", Some(1), vec![], true);
        enterprise.put_seed(Folder, 3, "Invoices", None, vec![Collaborator::ServiceAccounts], false);
        enterprise.put_seed(Folder, 4, "Ada's notes", None, vec![user(1)], false);
        enterprise.put_seed(Folder, 5, "Grace's drafts", None, vec![user(2)], false);
        enterprise.put_seed(File, 1, "Contract.pdf", Some(1), vec![], false);
        enterprise.put_seed(File, 2, "Offer.docx", Some(2), vec![], false);
        enterprise.put_seed(File, 3, "Invoice.pdf", Some(3), vec![], true);
        enterprise.put_seed(File, 4, "Notes.txt", Some(4), vec![], false);
        enterprise
    }

    /// Adds the folder `Demo` with folders, texts and pictures below it. Its id is `20000n101` in the `n`th enterprise;
    /// the service accounts and all users see it.
    pub(super) fn add_demo_folder(&mut self) {
        for (position, (kind, name, folder, bytes)) in DEMO_ITEMS.into_iter().enumerate() {
            let bytes = (kind == File).then(|| Bytes::from_static(bytes));
            let mut item = self.seed_item(kind, FIRST_DEMO_ITEM + position, name, bytes);
            if position == 0 {
                let users = self.users.iter().map(|user| Collaborator::User(user.id.clone()));
                item.collaborators = users.chain([Collaborator::ServiceAccounts]).collect();
            } else {
                item.parent = Some(seed_id(2, self.number, FIRST_DEMO_ITEM + folder));
            }
            self.items.put(item);
        }
    }

    fn put_seed(
        &mut self,
        kind: ItemKind,
        which: usize,
        name: &str,
        parent: Option<usize>,
        collaborators: Vec<Collaborator>,
        linked: bool,
    ) {
        let bytes = format!("{name}, made up by the sandbox.\n");
        let mut item = self.seed_item(kind, which, name, (kind == File).then(|| bytes.into()));
        item.parent = parent.map(|folder| seed_id(2, self.number, folder));
        item.collaborators = collaborators.into_iter().collect();
        item.shared_link = linked.then(|| format!("https://app.box.com/s/sandbox-{}", item.id));
        self.items.put(item);
    }

    fn seed_item(&self, kind: ItemKind, which: usize, name: &str, bytes: Option<Bytes>) -> Item {
        let id = seed_id(if kind == Folder { 2 } else { 3 }, self.number, which);
        let owner = self.users.first();
        let by = Author {
            id: owner.map_or_else(|| "2".to_owned(), |user| user.id.clone()),
            name: owner.map_or_else(|| self.name.clone(), |user| user.name.clone()),
            login: owner.map_or_else(String::new, |user| user.login.clone()),
        };
        let mut item = Item::new(kind, id, name.to_owned(), by, SEEDED_AT);
        let version = seed_id(6, self.number, which);
        item.version =
            bytes.map(|bytes| FileVersion { id: version, number: 1, content: FileContent::seed(bytes) });
        item
    }
}

/// Returns the id of a user (kind 1), folder (2), file (3) or file version (6) of the seed data.
fn seed_id(kind: usize, enterprise: usize, which: usize) -> String {
    (kind * 10_000_000_000 + enterprise * 1000 + which).to_string()
}
