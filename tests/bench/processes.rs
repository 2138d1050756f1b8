//! The measured processes: started here, observed through `/proc`, and killed when their owner is dropped.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{time::clock_getcpuclockid, unistd::Pid};

/// Much longer than any start takes.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running process that listens on loopback.
pub(crate) struct Process {
    child: Child,
    /// The address at which it listens.
    pub(crate) address: SocketAddr,
    /// The time from its start to its first answer; for a gateway, to a 200 from `GET /ready`.
    pub(crate) ready_after: Duration,
}

impl Process {
    /// Starts the gateway on this database.
    pub(crate) fn gateway(setting: &GatewaySetting) -> io::Result<Self> {
        let port = free_port()?;
        let log = fs::File::create(setting.directory.join("gateway.log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_ownerrez-gateway"));
        command
            .env_clear()
            .env("PORT", port.to_string())
            .env("DATABASE_URL", format!("sqlite://{}", setting.database.display()))
            .env("ENCRYPTION_KEY", setting.encryption_key)
            .env("OWNERREZ_API_URL", setting.upstream)
            .env("OWNERREZ_APP_URL", setting.upstream)
            .env("UPSTREAM_LIMIT", setting.upstream_limit.to_string())
            .arg("--config")
            .arg(setting.config)
            .current_dir(setting.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let started = Instant::now();
        let mut process = Self { child: command.spawn()?, address, ready_after: Duration::ZERO };
        while !answers_ready(address) {
            if let Some(status) = process.child.try_wait()? {
                let said = fs::read_to_string(setting.directory.join("gateway.log"))?;
                return Err(io::Error::other(format!("the gateway ended with {status}: {said}")));
            }
            if started.elapsed() > START_LIMIT {
                return Err(io::Error::other("the gateway did not become ready"));
            }
            #[expect(clippy::disallowed_methods, reason = "waits for a real process")]
            thread::sleep(Duration::from_micros(500));
        }
        process.ready_after = started.elapsed();
        Ok(process)
    }

    /// Starts this program in another role: `stub`, or `passthrough` and the stub's origin.
    pub(crate) fn own(part: &[&str]) -> io::Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(env::current_exe()?)
            .args(part)
            // Kept open: the child exits when this pipe closes, even if this process crashes.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let port: u16 = line.trim().parse().map_err(io::Error::other)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { child, address, ready_after: started.elapsed() })
    }

    /// Returns its address as the origin of URLs.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the CPU time of all its threads, in seconds. Reads the process's clock, because `/proc` counts in
    /// hundredths.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        let id = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Ok(Duration::from(clock_getcpuclockid(Pid::from_raw(id))?.now()?).as_secs_f64())
    }

    /// Returns its resident memory in MiB (`VmRSS`).
    pub(crate) fn resident(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: Option<f64> = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| io::Error::other("no VmRSS"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings with which a gateway is started. All others have their defaults.
#[derive(Clone, Copy)]
pub(crate) struct GatewaySetting<'a> {
    pub(crate) database: &'a Path,
    pub(crate) directory: &'a Path,
    pub(crate) config: &'a Path,
    pub(crate) encryption_key: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) upstream_limit: u32,
}

/// For the other roles of this program: reports the port to the parent process, and ends this process when the parent
/// exits.
#[expect(clippy::print_stdout, reason = "the way to the process that started this one")]
pub(crate) fn tell_port(port: u16) -> io::Result<()> {
    println!("{port}");
    io::stdout().flush()?;
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    Ok(())
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn answers_ready(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}
