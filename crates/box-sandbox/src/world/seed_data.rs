//! The folder `Demo`: something to look at, for people who open the sandbox in a page.

use bytes::Bytes;

use crate::world::enterprise::{Enterprise, id_of};
use crate::world::item_tree::ItemKind::{self, File, Folder};
use crate::world::item_tree::Member;

/// Where the ids of the furniture begin, beyond those of the standard population.
const FIRST: usize = 101;

const READ_ME: &str = "# Demo\n\nMade up by the sandbox. Rename, upload and delete as you like: it is gone with the \
                       sandbox.\n\n- `Pictures` holds two pictures.\n- `Reports` holds a report for each quarter.\n";
const MINUTES: &str =
    "Minutes\n\n1. The broker hands out tokens for this folder alone.\n2. Nobody else sees them.\n";
const FIGURES: &str = "month,orders,returns\nJanuary,120,3\nFebruary,98,1\nMarch,141,4\n";
const OUTLOOK: &str = "# Outlook\n\nMore of the same, and a little faster.\n";
const DAWN: &[u8] = include_bytes!("../assets/dawn.png");
const BOARD: &[u8] = include_bytes!("../assets/board.png");

/// Kind, name, the position of the folder it lies in, bytes. The first is the folder `Demo`.
const FURNITURE: [(ItemKind, &str, usize, &[u8]); 11] = [
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
    /// Adds the folder `Demo` (`20000n101` for the `number`th enterprise), which the service accounts
    /// and everybody see, with folders, texts and pictures below it.
    pub(crate) fn furnish(&mut self) {
        for (position, (kind, name, folder, bytes)) in FURNITURE.into_iter().enumerate() {
            let bytes = (kind == File).then(|| Bytes::from_static(bytes));
            let mut item = self.born(kind, FIRST + position, name, bytes);
            if position == 0 {
                let users = self.users.iter().map(|user| Member::User(user.id.clone()));
                item.members = users.chain([Member::ServiceAccounts]).collect();
            } else {
                item.parent = Some(id_of(2, self.number, FIRST + folder));
            }
            self.tree.put(item);
        }
    }
}
