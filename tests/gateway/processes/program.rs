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

/// An upper bound for every wait: generous, because several tests share the machine.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_ownerrez-gateway");

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    output: Receiver<String>,
    errors: Receiver<String>,
    written: Arc<Mutex<String>>,
}

/// The result of a finished program.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
    /// All of its output on both streams, including lines that were read before.
    pub(crate) written: String,
    pub(crate) took: Duration,
}

impl Program {
    /// Starts it in a directory, with only this environment.
    pub(crate) fn start(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_hearing(directory, arguments, environment, Stdio::null())
    }

    /// Does the same, with a standard input.
    pub(crate) fn start_hearing(
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: Stdio,
    ) -> Self {
        Self::run(Command::new(PROGRAM).args(arguments), directory, environment, input)
    }

    /// Does the same, with these signals ignored from the start, as `nohup` does with HUP.
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

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, message: &Value) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    /// Writes a line of arbitrary bytes to its standard input.
    pub(crate) fn tell_bytes(&mut self, line: &[u8]) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(&[line, b"\n"].concat()).unwrap();
    }

    /// Closes its standard input.
    pub(crate) fn hang_up(&mut self) {
        self.child.stdin = None;
    }

    /// Returns the next line of output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&next(&self.output)).unwrap()
    }

    /// Returns its URL, once it listens.
    pub(crate) fn url(&self) -> String {
        let line = self.says("listening on ");
        let (_, rest) = line.split_once("listening on ").unwrap();
        format!("http://{}", rest.split(',').next().unwrap())
    }

    /// Returns the next line of its log that contains this.
    pub(crate) fn says(&self, text: &str) -> String {
        loop {
            let line = next(&self.errors);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Limits the size of the files that the process may write (`unlimited` removes the limit). A write beyond it
    /// fails, as on a full disk, if the process ignores XFSZ.
    pub(crate) fn limit_files(&self, bytes: &str) {
        let (process, limit) = (format!("--pid={}", self.child.id()), format!("--fsize={bytes}:unlimited"));
        assert!(Command::new("prlimit").args([process, limit]).status().unwrap().success());
    }

    /// Returns the URL at which it answers /health during startup.
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

    /// Runs `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it exits.
    #[expect(clippy::disallowed_methods, reason = "waits for a real process")]
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

    /// Stops it as an operator does, and waits until it exits.
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
