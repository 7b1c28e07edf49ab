//! As much DER as is needed to alter a number.

use data_encoding::BASE64;

use super::armoured;

/// A DER value; constructed ones are taken apart.
#[derive(Debug)]
pub(crate) struct Tree {
    tag: u8,
    content: Result<Vec<Tree>, Vec<u8>>,
}

impl Tree {
    /// The first value of `der`.
    pub(crate) fn of(der: &[u8]) -> Self {
        Self::read(der).0
    }

    fn read(der: &[u8]) -> (Self, &[u8]) {
        let (length, begin) = match der[1] {
            short @ 0..0x80 => (usize::from(short), 2),
            long => {
                let count = usize::from(long & 0x7f);
                let bytes = &der[2..2 + count];
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + count)
            }
        };
        let (content, rest) = der[begin..].split_at(length);
        let content = if der[0] & 0x20 == 0 { Err(content.to_vec()) } else { Ok(Self::all(content)) };
        (Self { tag: der[0], content }, rest)
    }

    fn all(mut der: &[u8]) -> Vec<Self> {
        let mut all = Vec::new();
        while !der.is_empty() {
            let (one, rest) = Self::read(der);
            all.push(one);
            der = rest;
        }
        all
    }

    /// What stands in a constructed value.
    pub(crate) fn children(&mut self) -> &mut Vec<Self> {
        self.content.as_mut().expect("a constructed value")
    }

    pub(crate) fn into_children(self) -> Vec<Self> {
        self.content.expect("a constructed value")
    }

    /// The bytes of a primitive value.
    pub(crate) fn content(&self) -> &[u8] {
        self.content.as_ref().expect_err("a primitive value")
    }

    /// DER again.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        match &self.content {
            Ok(children) => tlv(self.tag, &children.iter().flat_map(Self::encoded).collect::<Vec<_>>()),
            Err(bytes) => tlv(self.tag, bytes),
        }
    }
}

/// A value of that tag.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => der.push(short),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            der.push(0x80 | u8::try_from(bytes.len()).unwrap());
            der.extend(bytes);
        }
    }
    der.extend(content);
    der
}

/// An INTEGER of these bytes, which begin with a zero where the first bit would be set.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    tlv(0x02, bytes)
}

/// What a PEM text says.
pub(crate) fn body(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64.decode(base64.as_bytes()).unwrap()
}

/// An `EncryptedPrivateKeyInfo` with other parameters of its key derivation.
pub(crate) fn with_kdf(pem: &str, change: impl FnOnce(&mut Vec<Tree>)) -> String {
    let mut whole = Tree::of(&body(pem));
    change(kdf(&mut whole));
    armoured("ENCRYPTED PRIVATE KEY", &whole.encoded())
}

/// The parameters of its key derivation.
pub(crate) fn kdf_of(pem: &str) -> Vec<Tree> {
    std::mem::take(kdf(&mut Tree::of(&body(pem))))
}

fn kdf(whole: &mut Tree) -> &mut Vec<Tree> {
    // EncryptedPrivateKeyInfo › algorithm › PBES2 parameters › key derivation › its parameters.
    [0, 1, 0, 1].into_iter().fold(whole, |tree, place| &mut tree.children()[place]).children()
}
