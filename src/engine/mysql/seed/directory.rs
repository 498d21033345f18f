//! V2's data directory, new, by MySQL's own means, with nobody in it but us. What the image's entrypoint would do by V1's
//! environment (a database, a user, scripts of the first start) V1 has done already: its fruits come with the copy.

use secrecy::ExposeSecret;

use crate::engine::Place;
use crate::engine::mysql::before::Before;
use crate::engine::mysql_family::{accounts, directory, names};
use crate::engine::mysql_wire::quote::{account, literal};
use crate::runtime::File;
use crate::trouble::Trouble;

/// The arguments are options of the server.
const MAKE: &str = r#"
mysqld --no-defaults --initialize-insecure --user="${owner%:*}" --datadir="$data" --init-file=/switchover.sql \
  --log-error-verbosity=1 "$@" >&2
"#;

pub(super) async fn ensure_made(place: &Place) -> Result<(), Trouble> {
    let before = Before::of(&place.plan)?;
    let [_, owner] = before.owners;
    let options = before.made.options();
    // The server reads it as its own user.
    let (uid, gid) = owner;
    let content = first_statements(place)?.into_bytes();
    let file = File { path: "/switchover.sql".into(), content, mode: 0o600, uid, gid };
    directory::ensure_made(place, owner, MAKE, options, vec![file]).await
}

/// One statement a line, as the server wants it.
fn first_statements(place: &Place) -> Result<String, Trouble> {
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let admin = account(&names::admin(&place.plan), names::ANYWHERE);
    let by = literal(password.expose_secret());
    Ok(format!(
        "CREATE USER {admin} IDENTIFIED WITH caching_sha2_password BY {by};\nGRANT ALL ON *.* TO {admin} WITH GRANT OPTION;\n\
         ALTER USER 'root'@'localhost' ACCOUNT LOCK;\n"
    ))
}
