//! The address on which the service listens. It is bound before anything else is started, so that a
//! start with an address in use fails at once. The service listens on it last, when everything is
//! ready.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel keeps until they are accepted: room for all clients of another
/// replica, if they reconnect at once.
const BACKLOG_CONNECTIONS: u32 = 1024;

/// A bound address. It refuses connections until the service listens on it.
pub struct Address {
    address: SocketAddr,
    socket: TcpSocket,
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("LISTEN_ADDR cannot be {address}: {reason}")]
pub struct BadAddress {
    address: SocketAddr,
    reason: io::Error,
}

impl Address {
    pub fn take(address: SocketAddr) -> Result<Self, BadAddress> {
        let socket = bound(address).map_err(|reason| BadAddress { address, reason })?;
        Ok(Self { address, socket })
    }

    /// Accepts connections from now on. Fails if another process listens there since the address
    /// was bound.
    pub fn listen(self) -> Result<TcpListener, BadAddress> {
        let address = self.address;
        self.socket
            .listen(BACKLOG_CONNECTIONS)
            .map_err(|reason| BadAddress { address, reason })
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // Connections of the previous process that are still closing must not prevent the bind.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn an_address_is_refused_when_somebody_listens_there_before_or_after_it_is_taken() {
        let local = "127.0.0.1:0".parse().unwrap();
        let first = Address::take(local).unwrap();
        let address = first.socket.local_addr().unwrap();
        let second = Address::take(address).unwrap();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(
            refused.kind(),
            io::ErrorKind::ConnectionRefused,
            "nothing is served yet"
        );
        let _listener = first.listen().unwrap();
        for late in [second.listen().err(), Address::take(address).err()] {
            let late = late.expect("somebody listens").to_string();
            assert!(
                late.starts_with(&format!("LISTEN_ADDR cannot be {address}: Address")),
                "{late}"
            );
        }
    }
}
