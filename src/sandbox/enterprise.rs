//! An enterprise with its users and items, and the standard population that a new one gets.

use super::tree::{Item, ItemKind, Member, Tree};

/// A user of an enterprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Box's id: decimal digits, unique in the whole world.
    pub id: String,
    /// The login: an email address.
    pub login: String,
    /// The full name.
    pub name: String,
    /// A managed user belongs to the enterprise's own people; an app user was made by an app and is
    /// within reach of one without App + Enterprise Access.
    pub managed: bool,
    /// Whether the user must first accept the enterprise's custom terms of service.
    pub terms_of_service_required: bool,
}

/// A customer of Box.
#[derive(Clone, Debug)]
pub struct Enterprise {
    /// Box's id: decimal digits.
    pub id: String,
    /// The company's name.
    pub name: String,
    /// Its users, without service accounts.
    pub users: Vec<User>,
    /// Its folders and files.
    pub tree: Tree,
}

impl Enterprise {
    /// An enterprise without users and items.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), users: Vec::new(), tree: Tree::default() }
    }

    /// An enterprise with the standard population, the `number`th of its world, counted from 1. With
    /// `n` for the number on three digits, it has
    ///
    /// | user | id | |
    /// |---|---|---|
    /// | Ada | `10000n001` | managed |
    /// | Grace | `10000n002` | managed |
    /// | Tess | `10000n003` | managed, must accept terms of service first |
    /// | Apollo | `10000n004` | an app user |
    ///
    /// | item | id | seen by |
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
    /// and open shared links `https://app.box.com/s/sandbox-<item id>` to Contracts/2024 and to
    /// Invoice.pdf.
    #[must_use]
    pub fn populated(id: impl Into<String>, name: impl Into<String>, number: usize) -> Self {
        let mut enterprise = Self::new(id, name);
        for (user, name, managed, terms) in [
            (1, "Ada", true, false),
            (2, "Grace", true, false),
            (3, "Tess", true, true),
            (4, "Apollo", false, false),
        ] {
            enterprise.users.push(User {
                id: id_of(1, number, user),
                login: format!("{}@{}.example", name.to_lowercase(), enterprise.id),
                name: name.to_owned(),
                managed,
                terms_of_service_required: terms,
            });
        }
        let user = |which| Member::User(id_of(1, number, which));
        let everybody = vec![Member::ServiceAccounts, user(1), user(2)];
        enterprise.put(number, Folder, 1, "Contracts", None, everybody, false);
        enterprise.put(number, Folder, 2, "2024", Some(1), vec![], true);
        enterprise.put(number, Folder, 3, "Invoices", None, vec![Member::ServiceAccounts], false);
        enterprise.put(number, Folder, 4, "Ada's notes", None, vec![user(1)], false);
        enterprise.put(number, Folder, 5, "Grace's drafts", None, vec![user(2)], false);
        enterprise.put(number, File, 1, "Contract.pdf", Some(1), vec![], false);
        enterprise.put(number, File, 2, "Offer.docx", Some(2), vec![], false);
        enterprise.put(number, File, 3, "Invoice.pdf", Some(3), vec![], true);
        enterprise.put(number, File, 4, "Notes.txt", Some(4), vec![], false);
        enterprise
    }

    /// The user with this id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    #[expect(clippy::too_many_arguments, reason = "one row of the table above")]
    fn put(
        &mut self,
        number: usize,
        kind: ItemKind,
        which: usize,
        name: &str,
        parent: Option<usize>,
        members: Vec<Member>,
        linked: bool,
    ) {
        let id = id_of(if kind == Folder { 2 } else { 3 }, number, which);
        self.tree.put(Item {
            kind,
            name: name.to_owned(),
            parent: parent.map(|folder| id_of(2, number, folder)),
            members: members.into_iter().collect(),
            shared_link: linked.then(|| format!("https://app.box.com/s/sandbox-{id}")),
            id,
        });
    }
}

use ItemKind::{File, Folder};

fn id_of(kind: usize, enterprise: usize, which: usize) -> String {
    (kind * 10_000_000_000 + enterprise * 1000 + which).to_string()
}
