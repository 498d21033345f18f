//! The protocol itself, as far as the driver does not speak it: a replication connection, which can make a slot and
//! export what it saw, and a copy between two servers whose rows are passed on without being looked at.
//!
//! Facts: PostgreSQL 18 documentation, "Message Formats", "Streaming Replication Protocol". A `CopyData` has the same
//! form in both directions, so that what one server sends is what the other takes.

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::fallible_iterator::FallibleIterator;
use tokio_util::bytes::{Buf, BytesMut};

use super::session::Login;
use crate::runtime::Stream;
use crate::trouble::Trouble;

/// How much is asked of a stream at once.
const PIECE: usize = 256 << 10;

/// A connection that speaks the simple protocol.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    unread: BytesMut,
}

/// A row of texts; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

impl Wire {
    /// Logs in by SCRAM. `replication`: as a walsender of the login's database.
    pub(super) async fn open(stream: Box<dyn Stream>, login: &Login<'_>, replication: bool) -> Result<Wire, Trouble> {
        let mut wire = Wire { stream, unread: BytesMut::with_capacity(PIECE) };
        let mut parameters = vec![
            ("user", login.user),
            ("database", login.database),
            ("application_name", login.application),
            ("client_encoding", "UTF8"),
        ];
        if replication {
            parameters.push(("replication", "database"));
        }
        let mut hello = BytesMut::new();
        frontend::startup_message(parameters, &mut hello).map_err(broken)?;
        wire.send(&hello).await?;
        wire.authenticate(login).await?;
        wire.until_ready().await.map(|_| wire)
    }

    async fn authenticate(&mut self, login: &Login<'_>) -> Result<(), Trouble> {
        let mut scram = None;
        loop {
            let mut answer = BytesMut::new();
            match self.message().await? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationSasl(_) => {
                    let password = login.password.ok_or_else(|| Trouble::bug("no password for a role of our own"))?;
                    let new = ScramSha256::new(password.expose_secret().as_bytes(), ChannelBinding::unsupported());
                    frontend::sasl_initial_response(SCRAM_SHA_256, new.message(), &mut answer).map_err(broken)?;
                    scram = Some(new);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or_else(|| unexpected("a login"))?;
                    scram.update(body.data()).map_err(broken)?;
                    frontend::sasl_response(scram.message(), &mut answer).map_err(broken)?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let scram = scram.as_mut().ok_or_else(|| unexpected("a login"))?;
                    scram.finish(body.data()).map_err(broken)?;
                }
                _ => return Err(unexpected("a login")),
            }
            self.send(&answer).await?;
        }
    }

    /// One or more statements; the rows of all of them.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Vec<Row>, Trouble> {
        self.begin(sql).await?;
        self.until_ready().await
    }

    async fn begin(&mut self, sql: &str) -> Result<(), Trouble> {
        let mut query = BytesMut::new();
        frontend::query(sql, &mut query).map_err(broken)?;
        self.send(&query).await
    }

    async fn until_ready(&mut self) -> Result<Vec<Row>, Trouble> {
        let mut rows = Vec::new();
        loop {
            match self.said().await? {
                Ok(Message::ReadyForQuery(_)) => return Ok(rows),
                Ok(Message::DataRow(body)) => rows.push(texts(&body)?),
                Ok(_) => {}
                Err(trouble) => {
                    // The server says that it is ready also after an error.
                    while !matches!(self.said().await?, Ok(Message::ReadyForQuery(_))) {}
                    return Err(trouble);
                }
            }
        }
    }

    /// The next message; an error of the server's is a trouble.
    async fn message(&mut self) -> Result<Message, Trouble> {
        self.said().await?
    }

    async fn said(&mut self) -> Result<Result<Message, Trouble>, Trouble> {
        loop {
            match Message::parse(&mut self.unread).map_err(broken)? {
                Some(Message::ErrorResponse(body)) => return Ok(Err(server_says(&body)?)),
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_) | Message::NotificationResponse(_)) => {}
                Some(message) => return Ok(Ok(message)),
                None => self.hear().await?,
            }
        }
    }

    async fn hear(&mut self) -> Result<(), Trouble> {
        self.unread.reserve(PIECE);
        match self.stream.read_buf(&mut self.unread).await.map_err(broken)? {
            0 => Err(Trouble::failed("a connection to PostgreSQL ended")),
            _ => Ok(()),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.stream.write_all(bytes).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)
    }

    /// What is in a complete run of rows at the head of the unread bytes: their length, and whether something else follows.
    fn rows_at_head(&self) -> (usize, bool) {
        let mut end = 0;
        loop {
            let rest = &self.unread[end..];
            match rest.first() {
                Some(b'd') if rest.len() >= 5 => {
                    let length = (&rest[1..5]).get_u32() as usize + 1;
                    if rest.len() < length {
                        return (end, false);
                    }
                    end += length;
                }
                Some(b'd') | None => return (end, false),
                Some(_) => return (end, true),
            }
        }
    }
}

/// Rows from one server to the other: `out` and `into` are COPY statements of the same form. Tells how many bytes have
/// gone over. Either side's error ends both.
pub(super) async fn copy(
    from: &mut Wire,
    out: &str,
    to: &mut Wire,
    into: &str,
    passed: &mut impl AsyncFnMut(u64) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    from.begin(out).await?;
    match from.message().await? {
        Message::CopyOutResponse(_) => {}
        _ => return Err(unexpected("rows")),
    }
    to.begin(into).await?;
    match to.message().await? {
        Message::CopyInResponse(_) => {}
        _ => return Err(unexpected("a wish for rows")),
    }
    loop {
        let (length, more) = from.rows_at_head();
        if length > 0 {
            let rows = from.unread.split_to(length);
            // A server that has met an error says so instead of taking more.
            if let Err(broken) = to.stream.write_all(&rows).await {
                return Err(why_not_taken(to).await.unwrap_or_else(|| self::broken(broken)));
            }
            passed(length as u64).await?;
        }
        if !more {
            from.hear().await?;
            continue;
        }
        match from.message().await? {
            Message::CopyDone => break,
            _ => return Err(unexpected("the end of the rows")),
        }
    }
    from.until_ready().await?;
    let mut done = BytesMut::new();
    frontend::copy_done(&mut done);
    to.send(&done).await?;
    to.until_ready().await.map(drop)
}

async fn why_not_taken(to: &mut Wire) -> Option<Trouble> {
    to.said().await.ok()?.err()
}

fn texts(body: &postgres_protocol::message::backend::DataRowBody) -> Result<Row, Trouble> {
    let text = |range: Option<std::ops::Range<usize>>| {
        range.map(|range| String::from_utf8_lossy(&body.buffer()[range]).into_owned())
    };
    body.ranges().map(|range| Ok(text(range))).collect().map_err(broken)
}

/// The server's own words: message and code.
fn server_says(body: &postgres_protocol::message::backend::ErrorResponseBody) -> Result<Trouble, Trouble> {
    let (mut message, mut code) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Some(field) = fields.next().map_err(broken)? {
        let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'M' => message = value(),
            b'C' => code = value(),
            _ => {}
        }
    }
    Ok(Trouble::failed(format!("PostgreSQL says: {message} ({code})")))
}

fn broken(error: std::io::Error) -> Trouble {
    Trouble::failed("a connection to PostgreSQL broke").because(error)
}

fn unexpected(what: &str) -> Trouble {
    Trouble::bug(format!("PostgreSQL answered something else than {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(bytes: &[u8]) -> Wire {
        Wire { stream: Box::new(tokio::io::empty()), unread: BytesMut::from(bytes) }
    }

    #[tokio::test]
    async fn only_whole_rows_are_passed_on() {
        let row = b"d\0\0\0\x06ab";
        assert_eq!(holding(b"").rows_at_head(), (0, false));
        assert_eq!(holding(b"d\0\0").rows_at_head(), (0, false));
        assert_eq!(holding(row).rows_at_head(), (7, false));
        assert_eq!(holding(&[&row[..], b"d\0\0\0\x06a"].concat()).rows_at_head(), (7, false));
        assert_eq!(holding(&[&row[..], &row[..], b"c\0\0\0\x04"].concat()).rows_at_head(), (14, true));
        assert_eq!(holding(b"E\0").rows_at_head(), (0, true));
    }
}
