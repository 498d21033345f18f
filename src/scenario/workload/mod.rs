//! The clients: a process of its own that writes and reads through the address it is given, and tells on stdout, one
//! JSON line per transaction, what it saw. It runs on the host, or in a container inside the clients' network.
//!
//! It ends when its standard input does: the clients finish what they are at, and the tables are read whole.

mod clients;
mod postgres;

use std::io::{BufWriter, Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use self::clients::{Bounds, Known, Reader, Writer};
use self::postgres::{Address, Client};
use super::history::Record;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// What the runner tells its clients. The password comes through the environment.
#[derive(Debug, clap::Args)]
pub(super) struct WorkloadArgs {
    #[arg(long)]
    pub(super) host: String,
    #[arg(long)]
    pub(super) port: u16,
    #[arg(long)]
    pub(super) user: String,
    #[arg(long)]
    pub(super) database: String,
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

    let client = patient(&address).await?;
    let side =
        client.read_all(recorder).await.map_err(|error| Trouble::failed("cannot read the tables").because(error))?;
    recorder.tell(Record::End { side });
    Ok(())
}

/// The first and the last connection may take their time; those in between are what is measured.
async fn patient(address: &Address) -> Result<Client, Trouble> {
    let wait = Wait {
        what: "a connection through the clients' address",
        limit: Limit { name: "workload.patience", value: Duration::from_secs(60) },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    wait::until(wait, &Teller::silent(), async || match Client::connect(address).await {
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
