//! A server of names, which answers over UDP what a test has set.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_resolver::{
    config::{ConnectionConfig, NameServerConfig},
    proto::{
        op::Message,
        rr::{Name, RData, Record, RecordType, rdata::CNAME},
    },
};
use tokio::net::UdpSocket;

/// The longest question, in bytes.
const QUESTION_BYTES_MAX: usize = 4096;

/// The server. It ends with the runtime of its test.
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    /// The names, each with the records of its next answers. The last ones stay.
    names: BTreeMap<String, VecDeque<Vec<RData>>>,
    /// The answers since a name was last bound. A resolver that waits for an answer sends its question again: it
    /// must have the same answer.
    answers: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl NameServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone: Arc<Mutex<Zone>> = Arc::default();
        tokio::spawn(serve(socket, Arc::clone(&zone)));
        Self { address, zone }
    }

    /// How a resolver asks it.
    pub fn config(&self) -> NameServerConfig {
        let mut connection = ConnectionConfig::udp();
        connection.port = self.address.port();
        NameServerConfig::new(self.address.ip(), true, vec![connection])
    }

    /// From now on a name has these addresses.
    pub fn bind(&self, name: &str, addresses: &[&str]) {
        self.bind_in_turn(name, &[addresses]);
    }

    /// From now on a name has the first of these addresses, the next ones after the first question for an address
    /// of IPv4, and so on.
    pub fn bind_in_turn(&self, name: &str, turns: &[&[&str]]) {
        let turns = turns.iter().map(|addresses| {
            let addresses = addresses.iter().map(|address| address.parse::<IpAddr>());
            let data = addresses.map(|address| RData::from(address.unwrap()));
            data.collect::<Vec<_>>()
        });
        self.insert(name, turns.collect());
    }

    /// From now on a name is another name of `target`.
    pub fn alias(&self, name: &str, target: &str) {
        let target = Name::from_ascii(whole(target)).unwrap();
        self.insert(name, VecDeque::from([vec![RData::CNAME(CNAME(target))]]));
    }

    fn insert(&self, name: &str, turns: VecDeque<Vec<RData>>) {
        let mut zone = self.zone.lock().unwrap();
        zone.names.insert(whole(name), turns);
        zone.answers.clear();
    }
}

/// The name with the dot of the root.
fn whole(name: &str) -> String {
    format!("{name}.")
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut question = vec![0; QUESTION_BYTES_MAX];
    loop {
        let (length, client) = socket.recv_from(&mut question).await.unwrap();
        let answer = zone.lock().unwrap().answer(&question[..length]);
        socket.send_to(&answer, client).await.unwrap();
    }
}

impl Zone {
    fn answer(&mut self, question: &[u8]) -> Vec<u8> {
        if let Some(answer) = self.answers.get(question) {
            return answer.clone();
        }
        let answer = self.new_answer(&Message::from_vec(question).unwrap());
        let answer = answer.to_vec().unwrap();
        self.answers.insert(question.to_vec(), answer.clone());
        answer
    }

    /// Nobody may cache it: whoever wants to know a name asks each time.
    fn new_answer(&mut self, question: &Message) -> Message {
        let query = question.queries[0].clone();
        let (name, record_type) = (query.name().clone(), query.query_type());
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query);
        let Some(turns) = self.names.get_mut(&name.to_ascii()) else {
            return answer;
        };
        for data in turns.front().into_iter().flatten() {
            if [record_type, RecordType::CNAME].contains(&data.record_type()) {
                answer.add_answer(Record::from_rdata(name.clone(), 0, data.clone()));
            }
        }
        if turns.len() > 1 && record_type == RecordType::A {
            turns.pop_front();
        }
        answer
    }
}
