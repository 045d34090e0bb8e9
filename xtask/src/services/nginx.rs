//! nginx, with nothing outside its folder.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::port::Port;
use super::server::{Launch, Plan, Ready, Server};
use crate::process::signal;
use crate::tools;

/// An nginx.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
    /// What [`Nginx::configure`] writes.
    file: &'static str,
}

impl Nginx {
    /// `http` is what stands inside `http { }`, as in a file of the image's `/etc/nginx/conf.d`; it must listen on `port`.
    pub fn new(folder: &Path, port: Port, http: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(folder.join("temp")).with_context(|| folder.display().to_string())?;
        fs::write(folder.join("nginx.conf"), FRAME)?;
        Self::prepared(folder, port, Ready::Connects, "http.conf", http)
    }

    /// `configuration` is a whole `nginx.conf` that lets us say where its pid is, and for whom it runs; paths of temporary
    /// files must be relative. It is ready when a GET of `health_path` gives 200.
    pub fn with_configuration(folder: &Path, port: Port, health_path: &str, configuration: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Self::prepared(folder, port, Ready::Http(health_path.to_owned()), "nginx.conf", configuration)
    }

    fn prepared(folder: &Path, port: Port, ready: Ready, file: &'static str, text: &str) -> anyhow::Result<Self> {
        let program = tools::nginx()?;
        // Workers of another account could not enter our folder.
        let user = if tools::is_root()? { " user root;" } else { "" };
        let prefix = folder.to_str().context("the path of nginx's folder is not UTF-8")?;
        let directives = format!("daemon off; pid nginx.pid;{user}");
        let arguments = ["-p", prefix, "-c", "nginx.conf", "-e", "error.log", "-g", &directives].map(str::to_owned).to_vec();
        let server = Server::new(Plan {
            name: "nginx".to_owned(),
            folder: folder.to_owned(),
            port,
            launch: Launch { program, arguments, ..Launch::default() },
            ready,
            ready_within: Duration::from_secs(30),
            // Not QUIT, which waits for all WebSockets to close.
            polite: "TERM",
            ends_within: Duration::from_secs(10),
        });
        let nginx = Self { server, file };
        nginx.configure(text)?;
        Ok(nginx)
    }

    /// Another text for the next start or [`Nginx::reload`]. One that nginx would refuse is an error with what it says.
    pub fn configure(&self, text: &str) -> anyhow::Result<()> {
        fs::write(self.folder().join(self.file), text)?;
        let mut check = self.server.launch_command();
        let result = check.arg("-t").output()?;
        ensure!(result.status.success(), "nginx refuses its configuration: {}", String::from_utf8_lossy(&result.stderr));
        Ok(())
    }

    /// New connections get the new configuration within a moment; old workers keep their WebSockets.
    pub fn reload(&self) -> anyhow::Result<()> {
        signal("HUP", &self.running_pid()?.to_string());
        Ok(())
    }
}

impl Deref for Nginx {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

const FRAME: &str = "\
worker_processes 1;
error_log stderr;
events {
    worker_connections 4096;
}
http {
    access_log access.log;
    client_body_temp_path temp/client_body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    include http.conf;
}
";
