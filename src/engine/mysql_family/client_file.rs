//! How a client program in a helper gets in: by a file that only it can read.

use secrecy::{ExposeSecret, SecretString};

use crate::runtime::File;

/// As in `mysql --defaults-file=…`.
pub(in crate::engine) const PATH: &str = "/switchover.cnf";

/// The file's text. MariaDB's client verifies certificates from 11.4 on, of which a server in a container has made up its own,
/// or none.
pub(in crate::engine) fn text(user: &str, password: &SecretString, host: &str, port: u16) -> String {
    let password = password.expose_secret();
    format!(
        "[client]\nuser={user}\npassword={password}\nhost={host}\nport={port}\nprotocol=TCP\n\
         [client-mariadb]\nssl-verify-server-cert=0\n"
    )
}

pub(in crate::engine) fn file(text: String) -> File {
    File { path: PATH.into(), content: text.into_bytes(), mode: 0o600, uid: 0, gid: 0 }
}
