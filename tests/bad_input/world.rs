//! Containers for one test, and how the binary is tried on them: V1 before and after, and what is left over.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use switchover::scenario::v1_state::State;

/// A call of the tool that must be refused.
pub(crate) struct Case {
    name: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    exits: Vec<i32>,
    says: Vec<String>,
    watched: Option<String>,
    around: Option<[String; 3]>,
    by_nobody: bool,
}

impl Case {
    pub(crate) fn new(name: &str, args: &[&str]) -> Self {
        Case {
            name: name.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            exits: vec![3],
            says: Vec::new(),
            watched: None,
            around: None,
            by_nobody: false,
        }
    }
    pub(crate) fn run(name: &str, container: &str, image: &str) -> Self {
        Case::new(name, &["run", "--container", container, "--image", image, "--yes"])
    }
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
    pub(crate) fn exits(mut self, codes: &[i32]) -> Self {
        self.exits = codes.to_vec();
        self
    }
    pub(crate) fn says(mut self, texts: &[&str]) -> Self {
        self.says = texts.iter().map(|&text| text.to_owned()).collect();
        self
    }
    /// The container that must be the same before and after.
    pub(crate) fn watches(mut self, container: &str) -> Self {
        self.watched = Some(container.to_owned());
        self
    }
    /// Commands in a container just before and just after the call.
    pub(crate) fn around(mut self, container: &str, before: &str, after: &str) -> Self {
        self.around = Some([container, before, after].map(str::to_owned));
        self
    }
    pub(crate) fn by_nobody(mut self) -> Self {
        self.by_nobody = true;
        self
    }
}

pub(crate) struct World {
    mark: String,
    files: tempfile::TempDir,
    images: RefCell<Vec<String>>,
}

fn client(container: &str, words: &[&str]) -> Output {
    let shell = r#"exec "$(command -v mariadb || command -v mysql)" -uroot "$@""#;
    let exec = ["exec", "-e", "MYSQL_PWD=secret", container, "sh", "-c", shell, "sh"];
    Command::new("docker").args(exec).args(words).output().unwrap()
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let world = World {
            mark: format!("swtest-bad-{name}-{}", &random[..6]),
            files: tempfile::tempdir().unwrap(),
            images: RefCell::default(),
        };
        world.docker(&["network", "create", "--label=switchover.test=1", &world.mark]);
        world
    }

    #[expect(clippy::unused_self, reason = "reads better than a function of its own")]
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        let output = Command::new("docker").args(words).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "docker {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A container on the test's network, with the alias that clients would use.
    pub(crate) fn container(&self, name: &str, image: &str, options: &[&str], command: &[&str]) -> String {
        let name = format!("{}-{name}", self.mark);
        let mut words = vec!["run", "-d", "--name", &name, "--label=switchover.test=1", "--network", &self.mark];
        words.extend(["--network-alias=db", "-e", "POSTGRES_PASSWORD=secret"]);
        words.extend(options.iter().chain([&image]).chain(command));
        self.docker(&words);
        name
    }

    /// A database server that serves.
    pub(crate) fn server(&self, name: &str, image: &str, options: &[&str]) -> String {
        let name = self.container(name, image, options, &[]);
        self.until_served(&name);
        name
    }

    #[expect(clippy::unused_self, reason = "as above")]
    pub(crate) fn until_served(&self, container: &str) {
        let end = Instant::now() + Duration::from_secs(120);
        let psql = ["exec", container, "psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "select 1"];
        while !Command::new("docker").args(psql).output().unwrap().status.success() {
            assert!(Instant::now() < end, "{container} does not serve");
        }
    }

    /// A MySQL or MariaDB that serves, with what its `root` is let in with.
    pub(crate) fn server_with_root(&self, name: &str, image: &str, command: &[&str]) -> String {
        let name = self.container(name, image, &["-e", "MYSQL_ROOT_PASSWORD=secret"], command);
        let end = Instant::now() + Duration::from_secs(120);
        while !client(&name, &["--protocol=tcp", "--host=127.0.0.1", "-e", "select 1"]).status.success() {
            assert!(Instant::now() < end, "{name} does not serve");
        }
        name
    }

    /// Statements as `root`, on such a server.
    #[expect(clippy::unused_self, reason = "as above")]
    pub(crate) fn sql(&self, container: &str, statements: &str) {
        let output = client(container, &["-e", statements]);
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// An image like another one, with something changed.
    pub(crate) fn image(&self, name: &str, like: &str, changes: &[&str]) -> String {
        let image = format!("{}:{name}", self.mark);
        let container = self.docker(&["create", "--label=switchover.test=1", like]);
        let mut words = vec!["commit"];
        words.extend(changes.iter().flat_map(|change| ["--change", change]));
        words.extend([container.as_str(), &image]);
        self.docker(&words);
        self.docker(&["rm", "-v", &container]);
        self.images.borrow_mut().push(image.clone());
        image
    }

    pub(crate) fn image_without_a_database(&self) -> String {
        let image = format!("{}:stranger", self.mark);
        self.shell(&format!("tar -C /etc -c hostname | docker import --change 'CMD [\"/nothing\"]' - {image}"));
        self.images.borrow_mut().push(image.clone());
        image
    }

    /// The same bytes under another architecture's name.
    pub(crate) fn image_of_another_architecture(&self, like: &str) -> String {
        let copy = self.image("foreign", like, &[]);
        let architecture = self.docker(&["image", "inspect", "--format", "{{.Architecture}}", like]);
        let relabel = format!("s/\"architecture\":\"{architecture}\"/\"architecture\":\"arm64\"/g");
        self.shell(&format!("docker save {copy} | LC_ALL=C sed '{relabel}' | docker load"));
        copy
    }

    /// A volume that is full soon. It bears the name of the container whose switchover would use it.
    pub(crate) fn small_volume(&self, container: &str, size: &str) -> String {
        let volume = format!("{container}-small");
        let option = format!("o=size={size}");
        let words =
            ["volume", "create", "--label=switchover.test=1", "--opt=type=tmpfs", "--opt=device=tmpfs", "--opt"];
        self.docker(&[&words[..], &[&option, &volume]].concat());
        volume
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
        path.display().to_string()
    }

    #[expect(clippy::unused_self, reason = "as above")]
    fn shell(&self, script: &str) {
        let output = Command::new("bash").args(["-o", "pipefail", "-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Tries all cases, and says of all of them what is wrong.
    pub(crate) fn judge(&self, cases: &[Case]) {
        let wrong: Vec<String> = cases.iter().filter_map(|case| self.wrong_with(case)).collect();
        assert!(wrong.is_empty(), "{} of {} cases:\n\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
    }

    fn wrong_with(&self, case: &Case) -> Option<String> {
        let before = case.watched.as_deref().map(state);
        if let Some([container, first, _]) = &case.around {
            self.docker(&["exec", container, "sh", "-c", first]);
        }
        let began = Instant::now();
        let output = self.call(case);
        let took = began.elapsed();
        if let Some([container, _, last]) = &case.around {
            self.docker(&["exec", container, "sh", "-c", last]);
        }
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let mut wrong = Vec::new();
        if !output.status.code().is_some_and(|code| case.exits.contains(&code)) {
            wrong.push(format!("{}, not {:?}", output.status, case.exits));
        }
        wrong
            .extend(case.says.iter().filter(|text| !told.contains(*text)).map(|text| format!("does not say `{text}`")));
        if told.contains("panicked") || told.contains("secret") {
            wrong.push("a panic, or a secret".to_owned());
        }
        if took > Duration::from_secs(120) {
            wrong.push(format!("took {} s", took.as_secs()));
        }
        if let (Some(before), Some(container)) = (before, &case.watched) {
            wrong.extend(before.changes(&state(container)).into_iter().map(|change| format!("V1 changed: {change}")));
        }
        wrong.extend(self.left_over().into_iter().map(|name| format!("left behind: {name}")));
        let wrong = wrong.join("\n    ");
        (!wrong.is_empty()).then(|| format!("== {}\n    {wrong}\n  it said:\n{told}", case.name))
    }

    fn call(&self, case: &Case) -> Output {
        let binary = std::env::var_os("SWITCHOVER_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_switchover").into());
        let mut command = if case.by_nobody {
            let copy = PathBuf::from(self.file("switchover", ""));
            std::fs::copy(&binary, &copy).unwrap();
            self.shell(&format!("chmod 755 {} {}", copy.display(), self.files.path().display()));
            let mut nobody = Command::new("setpriv");
            nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
            nobody
        } else {
            Command::new(&binary)
        };
        let state = std::env::temp_dir().join(&self.mark);
        std::fs::create_dir_all(&state).unwrap();
        self.shell(&format!("chmod 777 {}", state.display()));
        command.args(&case.args).arg("--state-dir").arg(state.join(if case.by_nobody { "nobody" } else { "root" }));
        command.envs(case.env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What bears the label of a run and the name of one of our containers.
    fn left_over(&self) -> Vec<String> {
        let lists = [
            ("ps", vec!["-a", "--format", "{{.Names}}"]),
            ("network", vec!["ls", "--format", "{{.Name}}"]),
            ("volume", vec!["ls", "--format", "{{.Name}}"]),
        ];
        let mut left = Vec::new();
        for (kind, words) in lists {
            let names = self.docker(&[&[kind], &words[..], &["--filter", "label=switchover.run"]].concat());
            left.extend(names.lines().filter(|name| name.contains(&self.mark)).map(|name| format!("{kind} {name}")));
        }
        left
    }
}

fn state(container: &str) -> State {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(State::of(container)).unwrap()
}

impl Drop for World {
    fn drop(&mut self) {
        let images = self.images.borrow().join(" ");
        // Containers first, then what they used. Nothing here may panic: the test's own words come first.
        let script = format!(
            "m={}; docker ps -aq --filter name=$m | xargs -r docker rm -fv; docker network ls -q --filter name=$m | xargs -r docker network rm
             docker volume ls -q --filter name=$m | xargs -r docker volume rm -f; [ -z '{images}' ] || docker rmi -f {images}; rm -rf ${{TMPDIR:-/tmp}}/$m",
            self.mark
        );
        let _cleaned = Command::new("bash").args(["-c", &script]).output();
    }
}
