//! The clients against real servers: what they tell must be enough for the verdict, also when the server is killed in
//! the middle of their work, and what they tell of a side must be what the runner finds.

use std::process::Command;
use std::sync::mpsc::Receiver;

use super::*;
use crate::scenario::database::Database;
use crate::scenario::file;
use crate::scenario::history::{Change, History};
use crate::scenario::v1_state::State;
use crate::scenario::verdict::{Court, judge};

/// A server on a port that it keeps when it is restarted; gone when dropped.
struct Server {
    container: String,
    address: Address,
}

impl Drop for Server {
    fn drop(&mut self) {
        docker(&["rm", "-fv", &self.container]);
    }
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn server(engine: Engine, image: &str) -> Server {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{free}:3306");
    let run = ["run", "-d", "--label", "switchover.test=1", "-e", "MYSQL_ROOT_PASSWORD=secret", "-p", &publish, image];
    let container = docker(&run);
    let (host, user, password) = ("127.0.0.1".into(), "root".into(), "secret".into());
    let server = Server { container, address: Address { engine, host, port: free, user, password, database: None } };
    let mut client = patient(&server.address).await.unwrap();
    client.make_tables().await.unwrap();
    server
}

fn database(engine: Engine) -> Database {
    let nothing = file::Database { engine: Some(engine), ..file::Database::default() };
    Database::of(&serde_json::Value::Null, &nothing)
}

fn insert(n: i64) -> Op {
    let (change, end) = (Change::Insert, End::Refused);
    Op { writer: 1, n, change, row: n, began: 0, ended: 0, end, side: None, serial: None, why: None }
}

async fn fails(client: &mut dyn Client, op: &Op) -> (End, String) {
    let failed = client.transact(op).await.err().unwrap();
    (failed.end, failed.why)
}

/// Writers and a reader, while the server is killed and started again.
async fn killed_meanwhile(server: &Server) -> History {
    let (sender, records) = std::sync::mpsc::channel();
    let recorder = Recorder(sender);
    let stop = Arc::new(AtomicBool::new(false));
    let address = Rc::new(server.address.clone());
    let patience = Limit { name: "give-up", value: Duration::from_secs(5) };
    let bounds = Bounds { address, pause: Duration::from_millis(5), patience, stop: stop.clone() };
    let known: [Rc<Known>; 3] = Default::default();
    let writers = join_all((1..).zip(&known).map(|(n, known)| Writer::new(n, known.clone()).run(&bounds, &recorder)));
    let reader = Reader::new(1, known.to_vec()).run(&bounds, &recorder);
    let (container, mut history) = (server.container.clone(), History::default());
    let operator = async {
        // So many that each writer deletes, too.
        all_reach(100, &records, &mut history).await;
        let killed = tokio::task::spawn_blocking(move || {
            docker(&["kill", &container]);
            docker(&["start", &container]);
        });
        killed.await.unwrap();
        drop(patient(&server.address).await.unwrap());
        add_all(&records, &mut history);
        let last = history.ops.iter().map(|op| op.n).max().unwrap();
        all_reach(last + 10, &records, &mut history).await;
        stop.store(true, Ordering::Relaxed);
    };
    futures_util::future::join3(writers, reader, operator).await;
    let side = patient(&server.address).await.unwrap().read_all(&recorder).await.unwrap();
    recorder.tell(Record::End { side });
    drop(recorder);
    add_all(&records, &mut history);
    history
}

fn add_all(records: &Receiver<Record>, history: &mut History) {
    for record in records.try_iter() {
        history.add(record);
    }
}

/// Waits until every writer has had its transaction of that number acknowledged, or a later one.
async fn all_reach(number: i64, records: &Receiver<Record>, history: &mut History) {
    let limit = Limit { name: "test", value: Duration::from_secs(60) };
    let wait = Wait { what: "the writers", limit, every: Duration::from_millis(50), kind: Kind::Failed };
    let tell = Teller::silent();
    let reached = wait::until(wait, &tell, async || {
        add_all(records, history);
        let last = |writer| history.acknowledged().filter(|op| op.writer == writer).map(|op| op.n).max();
        let all = (1..=3).all(|writer| last(writer).is_some_and(|n| n >= number));
        Ok(if all { Look::Done(()) } else { Look::NotYet(format!("{:?}", history.ops.last())) })
    });
    reached.await.unwrap();
}

async fn tells_what_happened(engine: Engine, image: &str) {
    let server = server(engine, image).await;
    let database = database(engine);
    let before = State::take(&server.container, &database).await.unwrap();

    let first = database.side(&server.container).await.unwrap();
    let history = killed_meanwhile(&server).await;
    let second = database.side(&server.container).await.unwrap();
    assert_ne!(first, second, "a server that was started again is another one");
    let sides = [(first, "v1".to_owned()), (second, "v1".to_owned())].into();
    let verdict = judge(&Court { history: &history, sides: &sides, journey: &["v1".to_owned()], calls: None });
    assert_eq!(verdict.acknowledged.keys().collect::<Vec<_>>(), ["v1"], "{verdict:?}");
    let wrong = [&verdict.lost, &verdict.doubled, &verdict.stale, &verdict.differing];
    assert!(verdict.complete && wrong.iter().all(|list| list.is_empty()), "{verdict:?}");
    assert!(verdict.refused > 0 && verdict.reads > 0 && verdict.reads_missing == 0, "{verdict:?}");
    for side in [first, second] {
        assert!(history.acknowledged().any(|op| op.side == Some(side)), "nothing was acknowledged by {side:?}");
    }
    for change in [Change::Insert, Change::Update, Change::Delete] {
        assert!(history.acknowledged().any(|op| op.change == change), "no {change:?} was acknowledged");
    }

    let mut client = patient(&server.address).await.unwrap();
    assert_eq!(fails(client.as_mut(), &Op { change: Change::Update, ..insert(-1) }).await.0, End::Middle);
    // What it locked would be in the way.
    drop(client);
    let mut client = patient(&server.address).await.unwrap();
    let (side, serial) = client.transact(&insert(-2)).await.map_err(|failed| failed.why).unwrap();
    assert_eq!(side, second);
    assert!(history.ops.iter().all(|op| op.serial < serial), "{serial:?} was given before");
    a_read_only_server_refuses(&server, &database).await;
    what_has_changed_is_seen(&server, &database, before).await;
}

/// What the fence does to clients is told as what it is.
async fn a_read_only_server_refuses(server: &Server, database: &Database) {
    database
        .ask(&server.container, "create user app@'%' identified by 'x'; grant all on scenario.* to app@'%'")
        .await
        .unwrap();
    let app = Address { user: "app".into(), password: "x".into(), ..server.address.clone() };
    let mut client = app.connect().await.unwrap();
    database.ask(&server.container, "set global read_only = 1").await.unwrap();
    let (end, why) = fails(client.as_mut(), &insert(-3)).await;
    assert_eq!(end, End::Middle, "{why}");
    assert!(why.starts_with("1290 "), "{why}");
    database.ask(&server.container, "set global read_only = 0; set global max_connections = 10").await.unwrap();
    let mut all = Vec::new();
    let refusal = loop {
        match app.connect().await {
            Ok(client) => all.push(client),
            Err(refusal) => break refusal.one_line(),
        }
    };
    assert!(refusal.contains("1040 "), "{refusal}");
    let changed = "drop user app@'%'; set global max_connections = 151";
    drop((client, all));
    while database.ask(&server.container, changed).await.is_err() {
        wait::pace(Duration::from_millis(20)).await;
    }
}

/// Writes leave no trace in V1's state; what a run may touch does.
async fn what_has_changed_is_seen(server: &Server, database: &Database, before: State) {
    // A container that is started again may get another address.
    let by_itself = ["container: started", "container: network"];
    let restarted = |mut changes: Vec<String>| {
        changes.retain(|change| !by_itself.iter().any(|name| change.starts_with(name)));
        changes
    };
    let now = State::take(&server.container, database).await.unwrap();
    assert_eq!(restarted(before.changes(&now)), Vec::<String>::new());
    let touch = "create user x@'%'; grant select on scenario.ledger to x@'%'; set global read_only = 1";
    database.ask(&server.container, touch).await.unwrap();
    docker(&["exec", &server.container, "touch", "/etc/switchover-x"]);
    let changes = restarted(now.changes(&State::of(&server.container).await.unwrap()));
    let touched = ["accounts:", "files and processes:", "variables:", "what accounts may with tables:"];
    assert_eq!(changes.len(), touched.len(), "{changes:#?}");
    assert!(changes.iter().zip(touched).all(|(change, name)| change.starts_with(name)), "{changes:#?}");
}

#[tokio::test]
async fn clients_of_mysql_tell_what_happened() {
    tells_what_happened(Engine::Mysql, "switchover-test/mysql:9.7").await;
}

#[tokio::test]
async fn clients_of_mariadb_tell_what_happened() {
    tells_what_happened(Engine::Mariadb, "switchover-test/mariadb:10.11").await;
    tells_what_happened(Engine::Mariadb, "switchover-test/mariadb:11.8").await;
}
