//! The clients: a process of its own that writes and reads through the address it is given, and tells on stdout, one
//! JSON line per transaction, what it saw. It runs on the host, or in a container inside the clients' network.
//!
//! It ends when its standard input does: the clients finish what they are at, and the tables are read whole.

mod clients;
mod mysql;
#[cfg(test)]
mod on_a_server;
mod postgres;

use std::io::{BufWriter, Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use self::clients::{Bounds, Known, Reader, Writer};
use super::database::Engine;
use super::history::{End, Op, Record, Side};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// What the runner tells its clients. The password comes through the environment.
#[derive(Debug, clap::Args)]
pub(super) struct WorkloadArgs {
    #[arg(long)]
    pub(super) engine: Engine,
    #[arg(long)]
    pub(super) host: String,
    #[arg(long)]
    pub(super) port: u16,
    #[arg(long)]
    pub(super) user: String,
    #[arg(long)]
    pub(super) database: Option<String>,
    #[arg(long, env = "SCENARIO_PASSWORD", hide_env_values = true)]
    pub(super) password: String,
    #[arg(long)]
    pub(super) writers: u16,
    #[arg(long)]
    pub(super) readers: u16,
    #[arg(long)]
    pub(super) pause_ms: u64,
    #[arg(long)]
    pub(super) give_up_ms: u64,
}

/// A connection that is not there after this time is tried again.
const CONNECT: Limit<'_> = Limit { name: "connect-timeout", value: Duration::from_secs(2) };

/// Where the clients go, as they would write it: a name is resolved anew at each connection.
#[derive(Clone)]
struct Address {
    engine: Engine,
    host: String,
    port: u16,
    user: String,
    password: String,
    database: Option<String>,
}

/// A transaction that did not end well.
struct Failed {
    end: End,
    why: String,
}

/// One client's connection. It does the same on every engine, with the means of that engine.
#[async_trait(?Send)]
trait Client {
    /// The connection is known to be over. A driver that only sees it at the next statement says no.
    fn is_closed(&self) -> bool;
    /// What a failure at this moment would mean.
    fn stage(&self) -> End;
    /// The next failure is one before any transaction.
    fn clear_stage(&mut self);
    /// Two tables in the schema `scenario`, empty: the rows, and the ledger, which has no key on purpose: a transaction
    /// that is applied twice must show, not fail.
    async fn make_tables(&mut self) -> Result<(), Trouble>;
    /// Begin, change one row and the ledger, commit; answers who did it and an inserted row's number from the sequence.
    async fn transact(&mut self, op: &Op) -> Result<(Side, Option<i64>), Failed>;
    /// Whether the row is there.
    async fn find(&mut self, writer: i32, row: i64) -> Result<bool, Failed>;
    /// Tells every row of the final tables, of one snapshot.
    async fn read_all(&mut self, recorder: &Recorder) -> Result<Side, Trouble>;
}

impl Address {
    async fn connect(&self) -> Result<Box<dyn Client>, Trouble> {
        match self.engine {
            Engine::Postgres => wait::within(CONNECT, "connecting", postgres::connect(self)).await,
            Engine::Mysql | Engine::Mariadb => wait::within(CONNECT, "connecting", mysql::connect(self)).await,
        }
    }
}

/// Where the records go. Telling never waits for the reader of our output: a slow reader must not look like an outage.
#[derive(Clone)]
pub(super) struct Recorder(std::sync::mpsc::Sender<Record>);

impl Recorder {
    pub(super) fn tell(&self, record: Record) {
        // The receiver ends only when the output is closed: nobody is left to be told.
        let _closed = self.0.send(record);
    }
}

/// Runs the clients until the standard input ends.
pub(super) async fn run(args: WorkloadArgs) -> Result<(), Trouble> {
    let (sender, records) = std::sync::mpsc::channel();
    let printing = std::thread::spawn(move || print_lines(&records));
    let recorder = Recorder(sender);
    let done = clients(args, &recorder).await;
    if let Err(trouble) = &done {
        recorder.tell(Record::Trouble { what: trouble.one_line() });
    }
    drop(recorder);
    match printing.join() {
        Ok(printed) => printed.map_err(|error| Trouble::failed("cannot tell what the clients saw").because(error))?,
        Err(_) => return Err(Trouble::bug("the thread that prints records panicked")),
    }
    done
}

/// Lines go out as soon as there is a pause between them.
fn print_lines(records: &std::sync::mpsc::Receiver<Record>) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout());
    while let Ok(first) = records.recv() {
        for record in std::iter::once(first).chain(records.try_iter()) {
            serde_json::to_writer(&mut out, &record)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
    }
    out.flush()
}

async fn clients(args: WorkloadArgs, recorder: &Recorder) -> Result<(), Trouble> {
    let address = Rc::new(Address {
        engine: args.engine,
        host: args.host,
        port: args.port,
        user: args.user,
        password: args.password,
        database: args.database,
    });
    let patience = Limit { name: "give-up", value: Duration::from_millis(args.give_up_ms) };
    let mut client = patient(&address).await?;
    client.make_tables().await.map_err(|error| Trouble::failed("cannot make the workload's tables").because(error))?;
    drop(client);
    recorder.tell(Record::Ready);

    let stop = stop_at_end_of_input();
    let bounds = Bounds { address: address.clone(), pause: Duration::from_millis(args.pause_ms), patience, stop };
    let known: Vec<Rc<Known>> = (0..args.writers).map(|_| Rc::default()).collect();
    let writers =
        join_all((1..).zip(&known).map(|(number, known)| Writer::new(number, known.clone()).run(&bounds, recorder)));
    let readers =
        join_all((1..=args.readers).map(|number| Reader::new(number.into(), known.clone()).run(&bounds, recorder)));
    futures_util::future::join(writers, readers).await;

    let mut client = patient(&address).await?;
    let side =
        client.read_all(recorder).await.map_err(|error| Trouble::failed("cannot read the tables").because(error))?;
    recorder.tell(Record::End { side });
    Ok(())
}

/// The first and the last connection may take their time; those in between are what is measured.
async fn patient(address: &Address) -> Result<Box<dyn Client>, Trouble> {
    let wait = Wait {
        what: "a connection through the clients' address",
        limit: Limit { name: "workload.patience", value: Duration::from_secs(60) },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    wait::until(wait, &Teller::silent(), async || match address.connect().await {
        Ok(client) => Ok(Look::Done(client)),
        Err(error) => Ok(Look::NotYet(error.one_line())),
    })
    .await
}

fn stop_at_end_of_input() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    std::thread::spawn(move || {
        // Whatever is typed is of no interest; an error is an end, too.
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    stop
}
