//! Versions, and where what they are told differs. (MariaDB documentation: CHANGE MASTER TO, replication compatibility.)

/// As in `10.11.18-MariaDB-0+deb12u1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

/// From here on the collations are known that are the default of later versions. (MariaDB 10.10 release notes: UCA 14.0.0)
pub(super) const UCA_1400: Version = Version(10, 10, 0);

/// The oldest that this was run against.
pub(super) const OLDEST: Version = Version(10, 5, 0);

impl Version {
    pub(super) fn read(text: &str) -> Option<Version> {
        let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        let mut parts = text.splitn(3, '.');
        Some(Version(digits(parts.next()?)?, digits(parts.next()?)?, parts.next().and_then(digits).unwrap_or(0)))
    }

    pub(super) fn series(self) -> (u32, u32) {
        (self.0, self.1)
    }
}

/// Whom to follow, and how: what goes in is quoted already. `secret`: the leader can encrypt the link. Its certificate is
/// nobody's that could be verified, which a follower from 11.4 on does unless it is told.
pub(super) fn follow(host: &str, port: u16, user: &str, password: &str, secret: bool) -> String {
    let secret = u8::from(secret);
    format!(
        "CHANGE MASTER TO MASTER_HOST = {host}, MASTER_PORT = {port}, MASTER_USER = {user}, MASTER_PASSWORD = {password}, \
         MASTER_USE_GTID = slave_pos, MASTER_SSL = {secret}, MASTER_SSL_VERIFY_SERVER_CERT = 0, \
         MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 2"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert_eq!(Version::read("10.11.19-MariaDB-0+deb12u1"), Some(Version(10, 11, 19)));
        assert_eq!(Version::read("mariadbd"), None);
        assert!(Version(11, 4, 0) > Version(10, 11, 9) && Version(10, 5, 23) >= OLDEST);
    }

    #[test]
    fn a_follower_reads_by_gtid_and_verifies_nothing() {
        let said = follow("'h'", 3306, "'u'", "'p'", false);
        assert!(said.contains("MASTER_USE_GTID = slave_pos, MASTER_SSL = 0, MASTER_SSL_VERIFY_SERVER_CERT = 0"));
    }
}
