//! The gateway's program as an operator runs it: arguments, environment, output, signals, exit code.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

/// A bound for whatever must happen: generous, since several stories share the machine.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_ownerrez-gateway");

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    output: Receiver<String>,
    errors: Receiver<String>,
    written: Arc<Mutex<String>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
    /// All that it ever wrote, to both; what was asked for before included.
    pub(crate) written: String,
    pub(crate) took: Duration,
}

impl Program {
    /// Starts it in a directory, with nothing in its environment but this.
    pub(crate) fn start(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_hearing(directory, arguments, environment, Stdio::null())
    }

    /// The same, with something to read.
    pub(crate) fn start_hearing(
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: Stdio,
    ) -> Self {
        Self::run(Command::new(PROGRAM).args(arguments), directory, environment, input)
    }

    /// The same, with these signals ignored from the beginning, as `nohup` does it with HUP.
    pub(crate) fn start_ignoring(
        signals: &str,
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let shell = format!("trap '' {signals}; exec \"$@\"");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &shell, "sh", PROGRAM]).args(arguments);
        Self::run(&mut command, directory, environment, Stdio::null())
    }

    fn run(command: &mut Command, directory: &Path, environment: &[(&str, &str)], input: Stdio) -> Self {
        let mut child = command
            .current_dir(directory)
            .env_clear()
            .env("TMPDIR", directory)
            .envs(environment.iter().copied())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let written = Arc::default();
        let output = lines(child.stdout.take().unwrap(), &written);
        let errors = lines(child.stderr.take().unwrap(), &written);
        Self { child, output, errors, written }
    }

    /// Writes a line to it.
    pub(crate) fn tell(&mut self, message: &Value) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    /// Writes a line of any bytes to it.
    pub(crate) fn tell_bytes(&mut self, line: &[u8]) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(&[line, b"\n"].concat()).unwrap();
    }

    /// Nothing more will be said to it.
    pub(crate) fn hang_up(&mut self) {
        self.child.stdin = None;
    }

    /// The one line of JSON that it prints.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&next(&self.output)).unwrap()
    }

    /// Where it listens, once it does.
    pub(crate) fn url(&self) -> String {
        let line = self.says("listening on ");
        let (_, rest) = line.split_once("listening on ").unwrap();
        format!("http://{}", rest.split(',').next().unwrap())
    }

    /// The next line of its log that contains this.
    pub(crate) fn says(&self, text: &str) -> String {
        loop {
            let line = next(&self.errors);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Lets the process write no file beyond so many bytes (`unlimited`: as before). A write that would fails, as on a full
    /// disk, if the process ignores XFSZ.
    pub(crate) fn limit_files(&self, bytes: &str) {
        let (process, limit) = (format!("--pid={}", self.child.id()), format!("--fsize={bytes}:unlimited"));
        assert!(Command::new("prlimit").args([process, limit]).status().unwrap().success());
    }

    /// Where it answers /health while it starts.
    pub(crate) fn starting_url(&self) -> String {
        let line = self.says("answering /health and /ready on ");
        let (_, rest) = line.split_once(" on ").unwrap();
        format!("http://{}", rest.split(' ').next().unwrap())
    }

    /// Sends a signal by its name, to this process only.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ending {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let rest = |lines: &Receiver<String>| lines.iter().collect::<Vec<_>>().join("\n");
        let took = started.elapsed();
        let (output, errors) = (rest(&self.output), rest(&self.errors));
        Ending { code: status.code(), took, output, errors, written: std::mem::take(&mut self.written.lock().unwrap()) }
    }

    /// Stops it as an operator does, and waits for its end.
    pub(crate) fn stop(self) -> Ending {
        self.signal("TERM");
        self.end()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next(lines: &Receiver<String>) -> String {
    match lines.recv_timeout(PATIENCE) {
        Ok(line) => line,
        Err(RecvTimeoutError::Timeout) => panic!("it says nothing"),
        Err(RecvTimeoutError::Disconnected) => panic!("it said nothing of the kind and ended"),
    }
}

fn lines(stream: impl Read + Send + 'static, written: &Arc<Mutex<String>>) -> Receiver<String> {
    let (send, receive) = channel();
    let written = written.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            written.lock().unwrap().extend([&line, "\n"]);
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}
