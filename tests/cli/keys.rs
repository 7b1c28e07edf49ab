use std::os::unix::fs::PermissionsExt;

use crate::harness::run;

#[test]
fn keys_are_written_once_and_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let file = path.to_str().unwrap();
    let made = run(&["keys", "generate", "--file", file], &[]);
    assert_eq!((made.code, made.out.as_str()), (0, ""), "{}", made.err);
    let keys = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    assert_eq!(run(&["keys", "generate"], &[("BTB_KEYS__FILE", file)]).code, 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), keys, "nothing was overwritten");

    let status = run(&["keys", "status"], &[("BTB_KEYS__FILE", file)]);
    assert_eq!(status.code, 0, "{}", status.err);
    let document: serde_json::Value = serde_json::from_str(&keys).unwrap();
    for kind in ["encryption", "row", "pepper", "session", "audit"] {
        let key = &document[kind][0];
        assert!(status.out.contains(key["id"].as_str().unwrap()), "{kind}");
        assert!(!status.out.contains(key["key"].as_str().unwrap()), "{kind}");
    }
    assert!(run(&["keys", "status", "--file", file, "--json"], &[]).out.starts_with("{\"keys\":["));

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = run(&["keys", "status", "--file", file], &[]);
    assert!(open.code == 1 && open.err.contains("chmod 600"), "{}", open.err);
}
