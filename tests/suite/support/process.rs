//! The real binary as a child, with everything it says of itself.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    data: TempDir,
}

impl Process {
    /// Starts it with these settings in development mode, on any free port, with a store of its own.
    pub(crate) fn start(settings: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("footfall.toml"), settings).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_footfall"))
            .current_dir(data.path())
            .env_clear()
            .env("FOOTFALL_MODE", "development")
            .env("FOOTFALL_SERVER__PORT", "0")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(data.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("footfall listens on ")?.split(' ').next()?.parse().ok());
        Self { child, address: address.expect("it says where it listens"), data }
    }

    /// All files that it has written, log aside.
    pub(crate) fn kept(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.data.path().join("data")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8(std::fs::read(self.data.path().join("log")).unwrap()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
