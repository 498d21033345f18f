use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::trouble::Kind;

type Facts = Journal<String>;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }
    fn path(&self) -> PathBuf {
        self.0.path().join("shop/run.jsonl")
    }
    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }
    /// A journal of every event, closed again.
    fn full(&self) -> Vec<Event<String>> {
        let mut journal = Facts::create(&self.path(), serde_json::json!({"v1": "shop-db"})).unwrap();
        for event in every_event() {
            journal.append(event).unwrap();
        }
        events(&journal)
    }
    /// What opening says of this content.
    fn refusal(&self, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(), content.as_ref()).unwrap();
        let error = Facts::open(&self.path()).err().unwrap();
        assert_eq!(error.kind, Kind::Person);
        assert_eq!(std::fs::read(self.path()).unwrap(), content.as_ref(), "a refused journal is not touched");
        error.one_line().replace(&self.path().display().to_string(), "J")
    }
}

fn every_event() -> Vec<Event<String>> {
    let step = || "fence".to_owned();
    vec![
        Event::Begun { step: step() },
        Event::Done { step: step(), fact: "V1 fenced\nat 0/1 \"quoted\"".into() },
        Event::Failed { step: step(), error: "no".into() },
        Event::Retreating { to: Some("ready".into()), because: "no".into(), then: Then::GoOn },
        Event::Undone { step: step() },
        Event::Retreated { to: None },
        Event::PassedPointOfNoReturn,
        Event::Stopped { step: step(), error: "no".into() },
        Event::Closed { outcome: Closed::TurnedBack },
    ]
}

fn events(journal: &Facts) -> Vec<Event<String>> {
    journal.records().iter().map(|r| r.event.clone()).collect()
}

#[test]
fn what_was_appended_is_read_back() {
    let place = Place::new();
    let written = place.full();
    let journal = Facts::open(&place.path()).unwrap();
    assert_eq!(events(&journal), written);
    assert_eq!(journal.plan()["v1"], "shop-db");
    assert_eq!(Facts::read(&place.path()).unwrap(), journal.records());
    let mode = std::fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// The names in the file are a promise to later versions.
#[test]
fn the_lines_are_as_documented() {
    let place = Place::new();
    place.full();
    let lines: Vec<String> = place
        .text()
        .lines()
        .map(|line| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("at").unwrap();
            value.as_object_mut().unwrap().remove("switchover");
            value.to_string()
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#"{"event":"opened","format":1,"plan":{"v1":"shop-db"},"seq":0}"#,
            r#"{"event":"begun","seq":1,"step":"fence"}"#,
            r#"{"event":"done","fact":"V1 fenced\nat 0/1 \"quoted\"","seq":2,"step":"fence"}"#,
            r#"{"error":"no","event":"failed","seq":3,"step":"fence"}"#,
            r#"{"because":"no","event":"retreating","seq":4,"then":"go-on","to":"ready"}"#,
            r#"{"event":"undone","seq":5,"step":"fence"}"#,
            r#"{"event":"retreated","seq":6,"to":null}"#,
            r#"{"event":"passed-point-of-no-return","seq":7}"#,
            r#"{"step":"fence","error":"no","event":"stopped","seq":8}"#,
            r#"{"event":"closed","outcome":"turned-back","seq":9}"#,
        ]
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap().to_string())
    );
}

#[test]
fn cut_at_any_byte_it_keeps_the_whole_lines_and_goes_on() {
    let place = Place::new();
    let written = place.full();
    let whole = place.text().into_bytes();
    let first_line = whole.iter().position(|b| *b == b'\n').unwrap();
    for length in 0..whole.len() {
        std::fs::write(place.path(), &whole[..length]).unwrap();
        if length <= first_line {
            let error = Facts::open(&place.path()).err().unwrap();
            assert_eq!(error.kind, Kind::Person, "cut at {length}");
            continue;
        }
        let lines = whole[..length].split(|b| *b == b'\n').count() - 1;
        assert_eq!(Facts::read(&place.path()).unwrap().len(), lines, "cut at {length}");
        let mut journal = Facts::open(&place.path()).unwrap();
        assert_eq!(events(&journal), written[..lines], "cut at {length}");
        journal.append(Event::PassedPointOfNoReturn).unwrap();
        drop(journal);
        assert_eq!(Facts::open(&place.path()).unwrap().records().len(), lines + 1, "cut at {length}");
    }
}

#[test]
fn damage_is_refused_and_not_touched() {
    let place = Place::new();
    place.full();
    let text = place.text();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |gone: usize| {
        let left = lines.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, l)| *l);
        left.collect::<String>()
    };
    assert_eq!(place.refusal(""), "line 1 of the journal J is missing; nothing was touched");
    assert_eq!(place.refusal(without(0)), "line 1 of the journal J bears number 1; nothing was touched");
    assert_eq!(place.refusal(without(3)), "line 4 of the journal J bears number 4; nothing was touched");
    let twice = text.clone() + lines[1];
    assert_eq!(place.refusal(twice), "line 11 of the journal J bears number 1; nothing was touched");
    let opened_again = text.clone() + &lines[0].replace("\"seq\":0", "\"seq\":10");
    assert_eq!(place.refusal(opened_again), "line 11 of the journal J is out of place; nothing was touched");
    let unknown = text.replace("\"undone\"", "\"unheard-of\"");
    assert!(place.refusal(unknown).starts_with("line 6 of the journal J is not a record we know; nothing was touched"));
    let newer = text.replace("\"format\":1", "\"format\":2,\"surprise\":[]");
    assert_eq!(place.refusal(newer), "the journal J has format 2, this version knows 1; nothing was touched");
    let mut flipped = text.into_bytes();
    let somewhere = flipped.iter().position(|b| *b == b'{').unwrap();
    flipped[somewhere] = b'[';
    assert!(place.refusal(flipped).starts_with("line 1 of the journal J is not a record we know"));
}

#[test]
fn one_process_writes_and_anyone_may_read() {
    let place = Place::new();
    let mut journal = Facts::create(&place.path(), serde_json::Value::Null).unwrap();
    assert_eq!(Facts::open(&place.path()).err().unwrap().kind, Kind::Busy);
    assert!(Facts::create(&place.path(), serde_json::Value::Null).is_err(), "a name is used once");
    journal.append_unsynced(Event::Begun { step: "fence".into() }).unwrap();
    assert_eq!(Facts::read(&place.path()).unwrap().len(), 2);
    drop(journal);
    assert_eq!(Facts::open(&place.path()).unwrap().records().len(), 2);
}

#[test]
fn reserved_space_is_not_seen_by_readers() {
    let place = Place::new();
    let mut journal = Facts::create(&place.path(), serde_json::Value::Null).unwrap();
    let before = place.text();
    journal.reserve().unwrap();
    assert_eq!(place.text(), before);
    journal.append(Event::PassedPointOfNoReturn).unwrap();
    drop(journal);
    assert_eq!(Facts::open(&place.path()).unwrap().records().len(), 2);
}

/// A disk that fails from its `left`th write on, having written half of it.
struct Full {
    bytes: Vec<u8>,
    left: u32,
}

impl Disk for Full {
    fn settled(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes.clone())
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.left == 0 {
            self.bytes.extend(&bytes[..bytes.len() / 2]);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.left -= 1;
        self.bytes.extend(bytes);
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn reserve(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let disk = Full { bytes: Vec::new(), left: 1 };
    let mut journal = Facts::begin(Box::new(disk), "J", serde_json::Value::Null).unwrap();
    let error = journal.append(Event::PassedPointOfNoReturn).err().unwrap();
    assert_eq!(error.one_line(), "cannot write the journal J: no storage space");
    let error = journal.append(Event::PassedPointOfNoReturn).err().unwrap();
    assert_eq!(error.one_line(), "cannot write the journal J: an earlier record could not be written");
    assert_eq!(journal.records().len(), 1);
}
