//! V2's data directory, new, by MariaDB's own means, with nobody in it but us. What the image's entrypoint would do by V1's
//! environment (a database, a user, scripts of the first start) V1 has done already: its fruits come with the copy.

use crate::engine::mariadb::before::Before;
use crate::engine::mysql_family::{accounts, directory, names};
use crate::engine::mysql_wire::quote::account;
use crate::engine::{Place, Side};
use crate::runtime::File;
use crate::trouble::Trouble;

/// The arguments are options of the server. The last lines say which version's the system tables are, as the image's entrypoint
/// asks before it would bring them up to date.
const MAKE: &str = r#"
user=${owner%:*}
mariadb-install-db --no-defaults --datadir="$data" --user="$user" --auth-root-authentication-method=normal --skip-test-db \
  --skip-log-bin "$@" >&2
{ echo 'FLUSH PRIVILEGES;'; cat /switchover.sql; } |
  mariadbd --no-defaults --bootstrap --datadir="$data" --user="$user" --skip-log-bin "$@" >&2
version=$(mariadbd --no-defaults --version | sed 's/.* Ver \([0-9.]*-MariaDB\).*/\1/')
case $version in 10.*) info=mysql_upgrade_info ;; *) info=mariadb_upgrade_info ;; esac
printf '%s' "$version" > "$data/$info"
chown -R "$owner" "$data"
"#;

pub(super) async fn ensure_made(place: &Place) -> Result<(), Trouble> {
    let before = Before::of(&place.plan)?;
    let options = before.made.options();
    let content = first_statements(place)?.into_bytes();
    let file = File { path: "/switchover.sql".into(), content, mode: 0o600, uid: 0, gid: 0 };
    directory::ensure_made(place, before.owner(Side::V2), MAKE, options, vec![file]).await
}

fn first_statements(place: &Place) -> Result<String, Trouble> {
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let admin = account(&names::admin(&place.plan), names::ANYWHERE);
    let by = accounts::identified(true, &password);
    Ok(format!(
        "CREATE USER {admin} {by};\nGRANT ALL ON *.* TO {admin} WITH GRANT OPTION;\n\
         ALTER USER 'root'@'localhost' ACCOUNT LOCK;\n"
    ))
}
