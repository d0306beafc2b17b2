use super::is_token;

#[test]
fn a_token_has_three_parts_of_base64url() {
    for token in ["eyJh.eyJp.c2ln", "a.b.", "A-_9.b.c"] {
        assert!(is_token(token), "{token}");
    }
    for other in
        ["", ".", "..", "a", "a.b", "a..c", ".b.c", "a.b.c.d", "a.b.c=", "a.b+.c", "a b.c.d", "sk-live_1.x y.z"]
    {
        assert!(!is_token(other), "{other}");
    }
}
