//! Getting in: as the tool's own account, over the private network or a tunnel, never through the clients' address.
//! Before that account exists: through the container's own loopback, with the password the container was made with.

use secrecy::SecretString;

use super::{accounts, names};
pub(in crate::engine) use crate::engine::mysql_wire::session::{Login, Session, Timeouts, Turned, code_of, turned};
pub(in crate::engine) use crate::engine::place::{container, data, found, is_gone, port, refuse_shared};
use crate::engine::{Access, Place, Side};
use crate::runtime::{Call, Container, Runtime, Stream};
use crate::trouble::Trouble;

/// Says the password of `root` that the image was given, as its entrypoint takes it.
const ROOT_PASSWORD: &str = r#"
password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD-}}
file=${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE-}}
if [ -n "$password" ]; then printf '%s' "$password"; exit; fi
if [ -n "$file" ] && [ -r "$file" ]; then printf '%s' "$(cat "$file")"; fi
"#;

pub(in crate::engine) async fn stream(place: &Place) -> Result<Box<dyn Stream>, Trouble> {
    let container = container(place).await?;
    place.runtime.dial(&container, &place.plan.private_network, port(place)).await
}

/// A session of the tool's own account.
pub(in crate::engine) async fn admin(place: &Place, timeouts: Timeouts) -> Result<Session, Trouble> {
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let login = Login { user: &names::admin(&place.plan), password: Some(&password) };
    Session::open(stream(place).await?, &login, timeouts).await
}

/// As the tool's own account where it exists, else by local access. Trouble of the kind `Refused`: the server answers, and
/// knows neither us nor the user.
pub(in crate::engine) async fn either(place: &Place, timeouts: Timeouts) -> Result<Session, Trouble> {
    match admin(place, timeouts).await {
        Err(trouble) if turned(&trouble) == Some(Turned::Away) => {}
        // It may not stand on the private network any more.
        Err(trouble) if code_of(&trouble).is_none() => {}
        other => return other,
    }
    inside(place, timeouts).await
}

/// By local access.
pub(in crate::engine) async fn inside(place: &Place, timeouts: Timeouts) -> Result<Session, Trouble> {
    let container = found(place).await?;
    let inside = Inside {
        runtime: &*place.runtime,
        container: &container,
        port: port(place),
        access: &place.access,
        side: place.side,
    };
    inside.session(timeouts).await
}

/// Local access to one server.
pub(in crate::engine) struct Inside<'a> {
    pub(in crate::engine) runtime: &'a dyn Runtime,
    pub(in crate::engine) container: &'a Container,
    pub(in crate::engine) port: u16,
    pub(in crate::engine) access: &'a Access,
    pub(in crate::engine) side: Side,
}

impl Inside<'_> {
    /// A session with every right through the container's loopback.
    pub(in crate::engine) async fn session(&self, timeouts: Timeouts) -> Result<Session, Trouble> {
        let mut refused = None;
        for password in self.passwords().await? {
            let login = Login { user: self.access.user.as_deref().unwrap_or("root"), password: password.as_ref() };
            let stream = self.runtime.dial_inside(&self.container.id, self.port).await.map_err(|trouble| {
                let what = format!("no server answers on port {} inside {}", self.port, self.container.name);
                Trouble::refused(what)
                    .because(trouble)
                    .hint(format!("does it still start? docker logs {}", self.container.name))
            })?;
            match Session::open(stream, &login, timeouts).await {
                Ok(session) => return Ok(session),
                Err(trouble) if turned(&trouble) == Some(Turned::Away) => {
                    refused.get_or_insert(trouble);
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Err(self.refused(refused))
    }

    /// The one given, then the one the container was made with, then none.
    async fn passwords(&self) -> Result<Vec<Option<SecretString>>, Trouble> {
        let argv = ["sh", "-c", ROOT_PASSWORD];
        let said = self.runtime.exec(&self.container.id, &Call { argv: &argv, user: None, stdin: b"" }).await?;
        let made_with = String::from_utf8(said.stdout).unwrap_or_default();
        let made_with = (!made_with.is_empty()).then(|| SecretString::from(made_with));
        let mut passwords: Vec<Option<SecretString>> = Vec::new();
        passwords.extend(self.access.password.clone().map(Some));
        passwords.extend(made_with.map(Some));
        passwords.push(None);
        Ok(passwords)
    }

    fn refused(&self, why: Option<Trouble>) -> Trouble {
        let trouble = Trouble::refused(format!("{} lets nobody in whom we know a password of", self.side))
            .hint("give the name and password of an account with all rights: --password-file, or the configuration")
            .hint("it must be allowed to come from 127.0.0.1: 'root'@'%' of the official image is");
        match why {
            Some(why) => trouble.because(why),
            None => trouble,
        }
    }
}
