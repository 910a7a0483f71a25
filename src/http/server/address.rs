//! Where the service listens. The address is taken first of all, so that one that is in use ends the
//! start before anything else is started; it is listened on last, when everything is ready.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel keeps until they are accepted: room for the moment in which a whole
/// replica's clients come over.
const BACKLOG_CONNECTIONS: u32 = 1024;

/// An address that is taken. Whoever connects before it is listened on is refused.
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

    /// Accepts connections from now on. Another process may have been faster since the address was
    /// taken.
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
    // Connections of the process before that are still closing are no hindrance.
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
