//! An enterprise with its users and items, and the standard population that a new one gets.

use jiff::Timestamp;

use crate::storage::Content;
use crate::world::item_tree::{Item, ItemKind, Member, Person, Tree, Version};

/// When everything was made that an enterprise is born with: 2024-01-01.
pub(crate) const BORN: Timestamp = Timestamp::constant(1_704_067_200, 0);

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
    /// Its place in the ids of what it was born with.
    pub(crate) number: usize,
}

impl Enterprise {
    /// An enterprise without users and items.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), users: Vec::new(), tree: Tree::default(), number: 0 }
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
        let mut enterprise = Self { number, ..Self::new(id, name) };
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
        enterprise.put(Folder, 1, "Contracts", None, everybody, false);
        enterprise.put(Folder, 2, "2024", Some(1), vec![], true);
        enterprise.put(Folder, 3, "Invoices", None, vec![Member::ServiceAccounts], false);
        enterprise.put(Folder, 4, "Ada's notes", None, vec![user(1)], false);
        enterprise.put(Folder, 5, "Grace's drafts", None, vec![user(2)], false);
        enterprise.put(File, 1, "Contract.pdf", Some(1), vec![], false);
        enterprise.put(File, 2, "Offer.docx", Some(2), vec![], false);
        enterprise.put(File, 3, "Invoice.pdf", Some(3), vec![], true);
        enterprise.put(File, 4, "Notes.txt", Some(4), vec![], false);
        enterprise
    }

    /// The user with this id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    fn put(
        &mut self,
        kind: ItemKind,
        which: usize,
        name: &str,
        parent: Option<usize>,
        members: Vec<Member>,
        linked: bool,
    ) {
        let bytes = format!("{name}, made up by the sandbox.\n");
        let mut item = self.born(kind, which, name, (kind == File).then(|| bytes.into()));
        item.parent = parent.map(|folder| id_of(2, self.number, folder));
        item.members = members.into_iter().collect();
        item.shared_link = linked.then(|| format!("https://app.box.com/s/sandbox-{}", item.id));
        self.tree.put(item);
    }

    /// An item as enterprises are born with, by its number in the enterprise.
    pub(crate) fn born(&self, kind: ItemKind, which: usize, name: &str, bytes: Option<bytes::Bytes>) -> Item {
        let id = id_of(if kind == Folder { 2 } else { 3 }, self.number, which);
        let owner = self.users.first();
        let by = Person {
            id: owner.map_or_else(|| "2".to_owned(), |user| user.id.clone()),
            name: owner.map_or_else(|| self.name.clone(), |user| user.name.clone()),
            login: owner.map_or_else(String::new, |user| user.login.clone()),
        };
        let mut item = Item::new(kind, id, name.to_owned(), by, BORN);
        let version = id_of(6, self.number, which);
        item.version = bytes.map(|bytes| Version { id: version, number: 1, content: Content::born(bytes) });
        item
    }
}

use ItemKind::{File, Folder};

pub(crate) fn id_of(kind: usize, enterprise: usize, which: usize) -> String {
    (kind * 10_000_000_000 + enterprise * 1000 + which).to_string()
}
