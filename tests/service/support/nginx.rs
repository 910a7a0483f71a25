//! nginx before a replica, as the distribution has it but for what a test sets.

use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

use super::{Client, Replica, eventually, token};

/// A running nginx, ended with its files when it is dropped.
pub struct Nginx {
    process: Child,
    folder: std::path::PathBuf,
    base: String,
}

impl Nginx {
    /// Starts nginx before a replica. `settings` are directives of its server.
    pub async fn before(replica: &Replica, settings: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("messages-nginx-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let address = free_address();
        let configuration = format!(
            "daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
             http {{
                 access_log off;
                 client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                 fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                 server {{ listen {address}; {settings} location / {{ proxy_pass {target}; }} }}
             }}",
            folder = folder.display(),
            target = replica.base,
        );
        std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
        let process = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .arg("-e")
            .arg(folder.join("error.log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed: scripts/services install browser");
        let nginx = Self {
            process,
            folder,
            base: format!("http://{address}"),
        };
        eventually("nginx listens", async || {
            TcpStream::connect(&address).await.ok()
        })
        .await;
        nginx
    }

    /// A user of application 1 who calls the replica by way of nginx.
    pub fn user(&self, id: &str) -> Client {
        Client::new(
            &self.base,
            Some(token(1, id, std::time::Duration::from_secs(3600))),
        )
    }
}

/// An address on which nothing listens at present.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers on SIGTERM, which it would not do when killed.
        let _ = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
