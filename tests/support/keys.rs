//! Every form of private key that customers bring, and those that are refused, as `openssl` makes
//! them.
//!
//! What would take `openssl` minutes (100 million rounds, 4 GiB of scrypt, 8192 bits) is a cheap key
//! whose numbers are altered.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use data_encoding::BASE64;

use self::der::{Tree, integer, tlv};

#[path = "der.rs"]
pub(crate) mod der;

/// A key that must load.
pub(crate) struct KeyForm {
    /// What is special about it.
    pub(crate) name: String,
    pub(crate) pem: String,
    pub(crate) passphrase: Option<String>,
    /// Its public half, SubjectPublicKeyInfo in PEM, as `openssl` tells it.
    pub(crate) public_pem: String,
}

/// A key that must be refused.
pub(crate) struct RefusedForm {
    /// What is wrong with it.
    pub(crate) name: String,
    pub(crate) pem: String,
    pub(crate) passphrase: Option<String>,
    /// The problem code.
    pub(crate) code: &'static str,
    /// Words of the message that no other problem has.
    pub(crate) says: &'static str,
}

const PASSPHRASE: &str = "correct horse battery staple";
/// Old ciphers live in a provider of their own.
const LEGACY: [&str; 4] = ["-provider", "default", "-provider", "legacy"];

/// All forms that must load. `dir` is an empty folder for `openssl`'s files.
pub(crate) fn accepted(dir: &Path) -> Vec<KeyForm> {
    let openssl = OpenSsl { dir };
    let key = openssl.private_key("2048", &["genrsa", "2048"]);
    let public_pem = openssl.public_half(&key);
    let mut forms = Forms { public_pem, all: Vec::new() };

    for prf in ["hmacWithSHA1", "hmacWithSHA256", "hmacWithSHA384", "hmacWithSHA512"] {
        for cipher in ["des3", "aes-128-cbc", "aes-192-cbc", "aes-256-cbc"] {
            let pem = openssl.locked(&key, &["-v2", cipher, "-v2prf", prf]);
            forms.add(&format!("PBES2, PBKDF2 {prf}, {cipher}"), pem, PASSPHRASE);
        }
    }
    let own = openssl.like_box(&key);
    assert_eq!(der::kdf_of(&own).len(), 2, "Box leaves the pseudo-random function out");
    forms.add("as Box makes it", own.clone(), PASSPHRASE);
    forms.add("default of `openssl pkcs8`", openssl.locked(&key, &[]), PASSPHRASE);
    forms.add("200,000 rounds", openssl.locked(&key, &["-v2", "des3", "-iter", "200000"]), PASSPHRASE);
    let spelled_out = der::with_kdf(&own, |kdf| {
        let sha1 = tlv(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7]);
        kdf.extend([integer(&[24]), tlv(0x30, &[sha1, tlv(5, &[])].concat())].map(|der| Tree::of(&der)));
    });
    forms.add("PBKDF2 with key length and HMAC-SHA1 spelled out", spelled_out, PASSPHRASE);
    for (name, cost) in [("16384", "1"), ("1024", "2")] {
        let options = ["-scrypt", "-scrypt_N", name, "-scrypt_r", "8", "-scrypt_p", cost];
        forms.add(&format!("scrypt N = {name}, p = {cost}"), openssl.locked(&key, &options), PASSPHRASE);
    }
    for cipher in ["-des3", "-aes128", "-aes192", "-aes256"] {
        let pem = openssl.traditional(&key, &[cipher]);
        forms.add(&format!("traditional PEM, {cipher}"), pem, PASSPHRASE);
    }

    let pkcs1 = openssl.traditional_open(&key);
    assert!(
        key.starts_with("-----BEGIN PRIVATE KEY-----") && pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY")
    );
    for (name, pem) in [("PKCS#8", &key), ("PKCS#1", &pkcs1)] {
        for (state, passphrase) in [("absent", None), ("empty", Some("")), ("superfluous", Some("x"))] {
            forms.add(&format!("{name}, passphrase {state}"), pem.clone(), passphrase);
        }
    }
    forms.add("PKCS#8 under the label of PKCS#1", key.replace("PRIVATE", "RSA PRIVATE"), None);
    forms.add("PKCS#1 under the label of PKCS#8", pkcs1.replace("RSA PRIVATE", "PRIVATE"), None);

    let traditional = openssl.traditional(&key, &["-aes256"]);
    for (form, pem) in [("Box's own", &own), ("traditional PEM", &traditional), ("PKCS#1", &pkcs1)] {
        for (damage, text) in damaged(pem) {
            forms.add(&format!("{form}, {damage}"), text, PASSPHRASE);
        }
    }
    let certificate = openssl.certificate(&key);
    forms.add("behind its certificate", format!("{certificate}{own}"), PASSPHRASE);
    forms.add("before its certificate", format!("{own}{certificate}"), PASSPHRASE);

    for passphrase in ["pässwörd ☃", " leading and trailing ", "quote\" and \\ backslash"] {
        let pem = openssl.locked_by(&key, &["-v2", "des3"], passphrase);
        forms.add(&format!("passphrase {passphrase:?}"), pem, passphrase);
        let pem = openssl.traditional_by(&key, &["-des3"], passphrase);
        forms.add(&format!("traditional PEM, passphrase {passphrase:?}"), pem, passphrase);
    }
    let mut all = forms.all;
    for (name, options) in [
        ("3072", vec!["genrsa", "3072"]),
        ("4096", vec!["genrsa", "4096"]),
        ("2056", vec!["genrsa", "2056"]),
        ("exponent-3", vec!["genrsa", "-3", "2048"]),
    ] {
        let key = openssl.private_key(name, &options);
        let mut forms = Forms { public_pem: openssl.public_half(&key), all };
        forms.add(&format!("RSA {name}"), openssl.like_box(&key), PASSPHRASE);
        all = forms.all;
    }
    all
}

/// All forms that must be refused. `dir` is an empty folder for `openssl`'s files.
pub(crate) fn refused(dir: &Path) -> Vec<RefusedForm> {
    let openssl = OpenSsl { dir };
    let key = openssl.private_key("2048", &["genrsa", "2048"]);
    let own = openssl.like_box(&key);
    let mut all = Vec::new();
    let mut add = |code, says, name: &str, pem: String, passphrase: Option<&str>| {
        let (name, passphrase) = (name.to_owned(), passphrase.map(str::to_owned));
        all.push(RefusedForm { name, pem, passphrase, code, says });
    };
    let right = Some(PASSPHRASE);

    let invalid = "invalid_private_key";
    add(invalid, "is empty", "nothing", String::new(), None);
    add(invalid, "is empty", "white space", " \n\\n\u{feff}\r\n".to_owned(), right);
    add(invalid, "not PEM", "no PEM", "hello".to_owned(), None);
    let bare: String = own.lines().filter(|line| !line.starts_with("-----")).collect();
    add(invalid, "not PEM", "base64 without its BEGIN line", bare, right);
    add(invalid, "longer than", "an endless text", "-----BEGIN PRIVATE KEY-----".repeat(2000), None);

    let scrypt = openssl.locked(&key, &["-scrypt", "-scrypt_N", "1024"]);
    let traditional = openssl.traditional(&key, &["-des3"]);
    let traditional_aes = openssl.traditional(&key, &["-aes256"]);
    let locked = [("Box's own", &own), ("scrypt", &scrypt)];
    for (name, pem) in locked.into_iter().chain([("DES-EDE3", &traditional), ("AES-256", &traditional_aes)]) {
        let code = "wrong_passphrase";
        add(code, "does not open", &format!("{name}, wrong passphrase"), pem.clone(), Some("wrong"));
        add(code, "no passphrase came", &format!("{name}, no passphrase"), pem.clone(), None);
        add(code, "no passphrase came", &format!("{name}, empty passphrase"), pem.clone(), Some(""));
        let half = pem[..pem.len() / 2].to_owned();
        add(invalid, "cut off", &format!("{name}, cut in the middle"), half, right);
        let end = pem.trim_end().len() - 8;
        add(invalid, "cut off", &format!("{name}, cut in its END line"), pem[..end].to_owned(), right);
        let lines: Vec<&str> = pem.lines().collect();
        let gap = [&lines[..8], &["MII"], &lines[10..]].concat().join("\n");
        add(invalid, "damaged", &format!("{name}, lines missing within"), gap, right);
    }

    let public = "public_key_given";
    add(public, "this is a public key", "public key", openssl.public_half(&key), None);
    let pkcs1 = openssl.run(&["rsa", "-RSAPublicKey_out"], &key);
    add(public, "this is a public key", "PKCS#1 public key", pkcs1, right);
    add(public, "certificate", "certificate", openssl.certificate(&key), None);
    let request = openssl.run(&["req", "-new", "-subj", "/CN=box", "-key", "/dev/stdin"], &key);
    add(public, "certificate", "certificate request", request, None);

    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let ec = openssl.private_key("ec", &[&["genpkey"], &curve[..]].concat());
    add(invalid, "elliptic curves", "EC, PKCS#8", ec.clone(), None);
    add(invalid, "elliptic curves", "EC, encrypted", openssl.like_box(&ec), right);
    add(invalid, "elliptic curves", "EC, SEC 1", openssl.run(&["ec"], &ec), None);
    let with_parameters = openssl.run(&["ecparam", "-name", "prime256v1", "-genkey"], "");
    add(invalid, "elliptic curves", "EC, SEC 1 behind its parameters", with_parameters, None);
    for (algorithm, says) in [("ED25519", "Ed25519"), ("X25519", "X25519"), ("RSA-PSS", "RSASSA-PSS")] {
        let pem = openssl.private_key(algorithm, &["genpkey", "-algorithm", algorithm]);
        add(invalid, says, algorithm, pem, None);
    }
    let dsa = openssl.run(&["dsaparam", "-genkey", "-noout", "1024"], "");
    add(invalid, "DSA", "DSA", dsa, None);
    add(invalid, "OPENSSH", "OpenSSH's own", key.replace(" PRIVATE", " OPENSSH PRIVATE"), None);

    let small = openssl.private_key("1024", &["genrsa", "1024"]);
    add("key_too_small", "1024 bits", "1024 bits", small.clone(), None);
    add("key_too_small", "1024 bits", "1024 bits, encrypted", openssl.like_box(&small), right);
    let large = altered(&key, |numbers| numbers[1] = integer(&[&[0x00, 0xd1][..], &[0xa5; 1023]].concat()));
    add("key_too_large", "8192 bits", "8192 bits", large, None);
    let vast = altered(&key, |numbers| numbers[1] = integer(&[0x7d; 4104 / 8 + 1]));
    add("key_too_large", "4111 bits", "4111 bits", vast, None);

    let costly = "kdf_too_costly";
    for (rounds, says) in [
        (&[0x05, 0xf5, 0xe1, 0x00][..], "100000000 rounds"),
        (&[0x03, 0x0d, 0x41], "200001 rounds"),
        (&[0x00, 0xff, 0xff, 0xff, 0xff], "4294967295 rounds"),
        (&[0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0], "18446744073709551615 rounds"),
    ] {
        let pem = der::with_kdf(&own, |kdf| kdf[1] = Tree::of(&integer(rounds)));
        add(costly, says, says, pem, right);
    }
    for (n, p, says) in [
        (&[0x40, 0x00, 0x00][..], 1, "N = 4194304, r = 8, p = 1;"),
        (&[0x01, 0x00, 0x00], 1, "N = 65536, r = 8, p = 1;"),
        (&[0x04, 0x00], 3, "N = 1024, r = 8, p = 3;"),
        (&[0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1, "N = 18446744073709551615, r = 8"),
    ] {
        let pem = der::with_kdf(&scrypt, |kdf| {
            kdf[1] = Tree::of(&integer(n));
            kdf[3] = Tree::of(&integer(&[p]));
        });
        add(costly, says, says, pem, right);
    }

    for (scheme, says) in [
        ("PBE-MD5-DES", "PBES1 (pbeWithMD5AndDES-CBC)"),
        ("PBE-SHA1-DES", "PBES1 (pbeWithSHA1AndDES-CBC)"),
        ("PBE-MD5-RC2-64", "PBES1 (pbeWithMD5AndRC2-CBC)"),
        ("PBE-SHA1-3DES", "PKCS#12 scheme (pbeWithSHA1And3-KeyTripleDES-CBC)"),
        ("PBE-SHA1-RC2-40", "PKCS#12 scheme (pbeWithSHA1And40BitRC2-CBC)"),
    ] {
        add(invalid, says, scheme, openssl.locked(&key, &["-v1", scheme]), right);
    }
    for (options, says) in [
        (["-v2", "des-cbc"], "PBES2 with DES-CBC"),
        (["-v2", "rc2-cbc"], "PBES2 with RC2-CBC"),
        (["-v2", "camellia-256-cbc"], "PBES2 with Camellia-CBC"),
        (["-v2", "aria-256-cbc"], "PBES2 with ARIA-CBC"),
        (["-v2prf", "hmacWithMD5"], "PBKDF2 with HMAC-MD5"),
    ] {
        add(invalid, says, says, openssl.locked(&key, &options), right);
    }
    for (option, says) in [("-des", "with DES-CBC"), ("-camellia256", "with CAMELLIA-256-CBC")] {
        let name = format!("traditional PEM, {option}");
        add(invalid, says, &name, openssl.traditional(&key, &[option]), right);
    }

    let many = openssl.private_key("primes", &["genrsa", "-primes", "3", "2048"]);
    add(invalid, "more than two primes", "three primes", many, None);
    for (exponent, name) in [
        (&[0x01][..], "exponent 1"),
        (&[0x01, 0x00, 0x00], "an even exponent"),
        (&[0x02, 0x00, 0x00, 0x00, 0x01], "an exponent above 2^33"),
        (&[0x7f; 256], "an exponent as long as the modulus"),
    ] {
        let pem = altered(&key, |numbers| numbers[2] = integer(exponent));
        add(invalid, "public exponent", name, pem, None);
    }
    for (place, name) in [(1, "modulus"), (3, "private exponent"), (4, "first prime"), (5, "second prime")] {
        let pem = altered(&key, |numbers| {
            let middle = numbers[place].len() / 2;
            numbers[place][middle] ^= 0x10;
        });
        add(invalid, "do not belong together", &format!("another {name}"), pem, None);
    }
    all
}

struct Forms {
    public_pem: String,
    all: Vec<KeyForm>,
}

impl Forms {
    fn add<'a>(&mut self, name: &str, pem: String, passphrase: impl Into<Option<&'a str>>) {
        let passphrase = passphrase.into().map(str::to_owned);
        let public_pem = self.public_pem.clone();
        self.all.push(KeyForm { name: name.to_owned(), pem, passphrase, public_pem });
    }
}

/// What happens to line breaks on the way.
fn damaged(pem: &str) -> Vec<(&'static str, String)> {
    vec![
        ("literal \\n", pem.replace('\n', "\\n")),
        ("literal \\r\\n", pem.replace('\n', "\\r\\n")),
        ("doubly escaped \\n", pem.replace('\n', "\\\\n")),
        ("CR LF", pem.replace('\n', "\r\n")),
        ("CR alone", pem.replace('\n', "\r")),
        ("without line breaks", pem.replace('\n', "")),
        ("spaces for line breaks", pem.replace('\n', " ")),
        ("no break at its end", pem.trim_end().to_owned()),
        ("white space around", format!(" \r\n\t{pem}\n\n  ")),
        ("indented", pem.lines().fold(String::new(), |all, line| all + "    " + line + "\n")),
        ("a byte order mark", format!("\u{feff}{pem}")),
        ("text around", format!("Bag Attributes\n    friendlyName: box\n{pem}the end\n")),
    ]
}

/// The same PKCS#8 key with other numbers: version, n, e, d, p, q and so on, each in DER.
fn altered(pem: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> String {
    let mut whole = Tree::of(&der::body(pem));
    let inner = Tree::of(whole.children()[2].content());
    let mut numbers: Vec<Vec<u8>> = inner.into_children().iter().map(Tree::encoded).collect();
    change(&mut numbers);
    whole.children()[2] = Tree::of(&tlv(0x04, &tlv(0x30, &numbers.concat())));
    armoured("PRIVATE KEY", &whole.encoded())
}

/// DER as PEM.
pub(crate) fn armoured(label: &str, der: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in BASE64.encode(der).as_bytes().chunks(64) {
        writeln!(pem, "{}", str::from_utf8(line).unwrap()).unwrap();
    }
    writeln!(pem, "-----END {label}-----").unwrap();
    pem
}

/// The command line of OpenSSL 3.
pub(crate) struct OpenSsl<'a> {
    /// Where its files go.
    pub(crate) dir: &'a Path,
}

impl OpenSsl<'_> {
    /// Standard output of `openssl` with the key as its input.
    pub(crate) fn run(&self, arguments: &[&str], key: &str) -> String {
        let input = self.dir.join("input.pem");
        std::fs::write(&input, key).unwrap();
        let output = Command::new("openssl")
            .args(arguments)
            .stdin(std::fs::File::open(&input).unwrap())
            .output()
            .expect("the `openssl` command line is installed");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn private_key(&self, name: &str, arguments: &[&str]) -> String {
        // Some subcommands want the size last, so the output goes in second.
        let path = self.dir.join(format!("{name}.pem"));
        let (command, rest) = arguments.split_first().unwrap();
        self.run(&[&[*command, "-out", path.to_str().unwrap()], rest].concat(), "");
        std::fs::read_to_string(path).unwrap()
    }

    fn public_half(&self, key: &str) -> String {
        self.run(&["pkey", "-pubout"], key)
    }

    fn certificate(&self, key: &str) -> String {
        self.run(&["req", "-x509", "-new", "-days", "1", "-subj", "/CN=box", "-key", "/dev/stdin"], key)
    }

    fn like_box(&self, key: &str) -> String {
        self.locked(key, &["-v2", "des3", "-v2prf", "hmacWithSHA1", "-iter", "2048"])
    }

    fn locked(&self, key: &str, options: &[&str]) -> String {
        self.locked_by(key, options, PASSPHRASE)
    }

    fn locked_by(&self, key: &str, options: &[&str], passphrase: &str) -> String {
        let passphrase = format!("pass:{passphrase}");
        self.run(&[&["pkcs8", "-topk8", "-passout", &passphrase], options, &LEGACY].concat(), key)
    }

    fn traditional(&self, key: &str, options: &[&str]) -> String {
        self.traditional_by(key, options, PASSPHRASE)
    }

    fn traditional_by(&self, key: &str, options: &[&str], passphrase: &str) -> String {
        let passphrase = format!("pass:{passphrase}");
        self.run(&[&["rsa", "-traditional", "-passout", &passphrase], options, &LEGACY].concat(), key)
    }

    fn traditional_open(&self, key: &str) -> String {
        self.run(&["rsa", "-traditional"], key)
    }
}
