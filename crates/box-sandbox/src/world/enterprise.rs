//! An enterprise: a customer of Box, with users and items.

use super::item_tree::ItemTree;

/// A user of an enterprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Box's id: decimal digits, unique across all enterprises.
    pub id: String,
    /// The login: an email address.
    pub login: String,
    /// The full name.
    pub name: String,
    /// True for a managed user of the enterprise, false for an app user, for whom an app can act
    /// without "App + Enterprise Access".
    pub managed: bool,
    /// True if the user has yet to accept the enterprise's custom terms of service.
    pub terms_of_service_required: bool,
}

/// A customer of Box.
#[derive(Clone, Debug)]
pub struct Enterprise {
    /// Box's id: decimal digits.
    pub id: String,
    /// The company's name.
    pub name: String,
    /// The users, without service accounts.
    pub users: Vec<User>,
    /// The folders and files.
    pub items: ItemTree,
    /// The enterprise's number, which is part of the ids of its seed data.
    pub(super) number: usize,
}

impl Enterprise {
    /// Returns an enterprise without users and items.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), users: Vec::new(), items: ItemTree::default(), number: 0 }
    }

    /// Returns the user with this id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }
}
