//! What HAProxy says of itself. Pure.

use crate::trouble::Trouble;

/// A `server` line of a backend as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) backend: String,
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// By its checks, if it has any.
    pub(super) is_up: bool,
    /// Neither in maintenance nor drained.
    pub(super) is_ready: bool,
    pub(super) is_disabled_in_file: bool,
    /// The name that stands in the file, if it is one.
    pub(super) hostname: Option<String>,
}

impl Server {
    pub(super) fn stands_at(&self, (host, port): &(String, u16)) -> bool {
        self.host == *host && self.port == *port
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frontend {
    pub(super) name: String,
    pub(super) maxconn: u32,
    pub(super) mode: String,
}

/// Its states: what keeps it from taking clients, and what the file says.
const NOT_READY: u32 = 0x01 | 0x02 | 0x08 | 0x10 | 0x20;
const DISABLED_IN_FILE: u32 = 0x04;
/// Running, or on the way there after a slow start.
const UP: [&str; 2] = ["1", "2"];

/// Out of `show servers state`.
pub(super) fn servers(answer: &str) -> Result<Vec<Server>, Trouble> {
    let rows = table(answer, ' ', "be_id")?;
    rows.iter().map(|row| server(row).ok_or_else(|| not_understood("show servers state", answer))).collect()
}

fn server(row: &Row<'_>) -> Option<Server> {
    let admin: u32 = row.get("srv_admin_state")?.parse().ok()?;
    Some(Server {
        backend: row.get("be_name")?.into(),
        name: row.get("srv_name")?.into(),
        host: row.get("srv_addr")?.into(),
        port: row.get("srv_port")?.parse().ok()?,
        is_up: UP.contains(&row.get("srv_op_state")?),
        is_ready: admin & NOT_READY == 0,
        is_disabled_in_file: admin & DISABLED_IN_FILE != 0,
        hostname: row.get("srv_fqdn").filter(|name| *name != "-").map(str::to_owned),
    })
}

/// Out of `show stat`.
pub(super) fn frontends(answer: &str) -> Result<Vec<Frontend>, Trouble> {
    let rows = table(answer, ',', "pxname")?;
    let frontends = rows.iter().filter(|row| row.get("svname") == Some("FRONTEND"));
    frontends.map(|row| frontend(row).ok_or_else(|| not_understood("show stat", answer))).collect()
}

fn frontend(row: &Row<'_>) -> Option<Frontend> {
    Some(Frontend {
        name: row.get("pxname")?.into(),
        maxconn: row.get("slim")?.parse().ok()?,
        mode: row.get("mode").unwrap_or_default().into(),
    })
}

/// One line of a table, by the names over its columns, which differ between versions.
struct Row<'a> {
    names: Vec<&'a str>,
    values: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let at = self.names.iter().position(|there| *there == name)?;
        self.values.get(at).copied()
    }
}

fn table<'a>(answer: &'a str, between: char, first: &str) -> Result<Vec<Row<'a>>, Trouble> {
    let mut lines = answer.lines().map(str::trim).filter(|line| !line.is_empty());
    let head = lines.find_map(|line| line.strip_prefix("# ").filter(|line| line.starts_with(first)));
    let head = head.ok_or_else(|| Trouble::failed(format!("HAProxy answers `{}`", shown(answer))))?;
    let row = |line: &'a str| Row { names: head.split(between).collect(), values: line.split(between).collect() };
    Ok(lines.filter(|line| !line.starts_with('#')).map(row).collect())
}

fn not_understood(command: &str, answer: &str) -> Trouble {
    Trouble::failed(format!("HAProxy's answer to `{command}` is not understood"))
        .because(Trouble::failed(shown(answer)))
}

/// The beginning: an answer may be long.
fn shown(answer: &str) -> String {
    answer.trim().chars().take(200).collect::<String>().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "1\n\
        # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change \
        srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
        srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n\
        3 db 1 s1 172.18.0.2 2 0 1 1 11 6 3 4 6 0 0 0 db 3306 - 0 0 - - 0\n\
        3 db 2 s2 0.0.0.0 0 5 1 1 11 1 0 1 14 0 0 0 - 3306 - 0 0 - - 0\n";

    #[test]
    fn lines_are_read_by_the_names_of_their_columns() {
        let servers = servers(STATE).unwrap();
        let [s1, s2] = &servers[..] else { panic!("{servers:?}") };
        assert!(s1.stands_at(&("172.18.0.2".into(), 3306)) && s1.is_up && s1.is_ready && !s1.is_disabled_in_file);
        assert_eq!((s1.backend.as_str(), s1.hostname.as_deref()), ("db", Some("db")));
        assert!(!s2.is_up && !s2.is_ready && s2.is_disabled_in_file && s2.hostname.is_none());
    }

    #[test]
    fn a_frontend_says_how_many_it_takes() {
        let stat = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,mode,\ndb,FRONTEND,,,8,8,2000,8,tcp,\ndb,BACKEND,0,0,8,8,200,8,tcp,\n\n";
        assert_eq!(frontends(stat).unwrap(), [Frontend { name: "db".into(), maxconn: 2000, mode: "tcp".into() }]);
    }

    #[test]
    fn another_answer_is_repeated() {
        assert_eq!(servers("Can't find backend.\n").unwrap_err().one_line(), "HAProxy answers `Can't find backend.`");
        assert!(servers(&STATE.replace("3306 -", "none -")).unwrap_err().one_line().contains("not understood"));
    }
}
