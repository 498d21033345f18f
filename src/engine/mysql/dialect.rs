//! What a server of this version calls things. V1 and V2 may need different words. (MySQL 8.4: "What Is New"; 8.0.22,
//! 8.0.23, 8.0.26 and 8.2.0 release notes.)

/// As in `9.7.4-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl Version {
    pub(super) fn read(text: &str) -> Option<Version> {
        let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        let mut parts = text.splitn(3, '.');
        Some(Version(digits(parts.next()?)?, digits(parts.next()?)?, parts.next().and_then(digits).unwrap_or(0)))
    }

    /// The series a version belongs to: 8.0, 8.4 and 9.7 are long-term ones, the rest leads to the next of these.
    pub(super) fn series(self) -> (u32, u32) {
        (self.0, self.1)
    }

    fn says_replica(self) -> bool {
        self >= Version(8, 0, 22)
    }
    fn says_source(self) -> bool {
        self >= Version(8, 0, 23)
    }

    pub(super) fn show_status(self) -> &'static str {
        if self.says_replica() { "SHOW REPLICA STATUS" } else { "SHOW SLAVE STATUS" }
    }
    pub(super) fn show_log_status(self) -> &'static str {
        if self >= Version(8, 2, 0) { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" }
    }
    pub(super) fn start(self) -> &'static str {
        if self.says_replica() { "START REPLICA" } else { "START SLAVE" }
    }
    pub(super) fn stop(self) -> &'static str {
        if self.says_replica() { "STOP REPLICA" } else { "STOP SLAVE" }
    }
    pub(super) fn forget(self) -> &'static str {
        if self.says_replica() { "RESET REPLICA ALL" } else { "RESET SLAVE ALL" }
    }
    pub(super) fn empty_log(self) -> &'static str {
        if self >= Version(8, 2, 0) { "RESET BINARY LOGS AND GTIDS" } else { "RESET MASTER" }
    }
    /// A field of the replica's status, by its present name.
    pub(super) fn field(self, name: &str) -> String {
        if self.says_replica() {
            return name.to_owned();
        }
        name.replace("Replica_", "Slave_").replace("Source_", "Master_")
    }

    /// Whom to follow, and how: `(host, port, user, password)` are quoted already. The link is encrypted, and the password
    /// is exchanged safely where it is not; its certificate is nobody's that could be verified (the image makes it up).
    pub(super) fn follow(self, host: &str, port: u16, user: &str, password: &str) -> String {
        let (verb, word) = match self.says_source() {
            true => ("CHANGE REPLICATION SOURCE TO", "SOURCE"),
            false => ("CHANGE MASTER TO", "MASTER"),
        };
        // MASTER_PUBLIC_KEY came with 8.0.
        let key = match self.says_source() {
            true => "GET_SOURCE_PUBLIC_KEY",
            false => "GET_MASTER_PUBLIC_KEY",
        };
        format!(
            "{verb} {word}_HOST = {host}, {word}_PORT = {port}, {word}_USER = {user}, {word}_PASSWORD = {password}, \
             {word}_AUTO_POSITION = 1, {word}_SSL = 1, {key} = 1, {word}_CONNECT_RETRY = 1, {word}_RETRY_COUNT = 86400, \
             {word}_HEARTBEAT_PERIOD = 2"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_spoken_to_in_its_own_words() {
        let words = |text: &str| {
            let version = Version::read(text).unwrap();
            (version.show_status(), version.show_log_status(), version.stop(), version.empty_log())
        };
        assert_eq!(words("8.0.21"), ("SHOW SLAVE STATUS", "SHOW MASTER STATUS", "STOP SLAVE", "RESET MASTER"));
        assert_eq!(words("8.0.36"), ("SHOW REPLICA STATUS", "SHOW MASTER STATUS", "STOP REPLICA", "RESET MASTER"));
        assert_eq!(
            words("9.7.4-2"),
            ("SHOW REPLICA STATUS", "SHOW BINARY LOG STATUS", "STOP REPLICA", "RESET BINARY LOGS AND GTIDS")
        );
        let follow = |text: &str| Version::read(text).unwrap().follow("'h'", 3306, "'u'", "'p'");
        assert!(follow("8.0.22").starts_with("CHANGE MASTER TO MASTER_HOST = 'h'"));
        assert!(follow("8.4.0").starts_with("CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'h'"));
        let field = |text: &str| Version::read(text).unwrap().field("Relay_Source_Log_File");
        assert_eq!((field("8.0.20"), field("8.4.1")), ("Relay_Master_Log_File".into(), "Relay_Source_Log_File".into()));
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(Version::read("9.7.4-2"), Some(Version(9, 7, 4)));
        assert_eq!(Version::read("mysqld"), None);
        assert!(Version(8, 4, 0) > Version(8, 0, 44));
    }
}
