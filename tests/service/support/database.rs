//! A fresh database for each test.

use messages::{domain::ApplicationId, store::locks};
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use super::{eventually, servers};

/// A database on the shared server, dropped when the test ends.
pub struct Database {
    pub url: String,
    /// Where to drop it from; none for a database on a test's own server.
    shared: Option<(String, String)>,
}

impl Database {
    pub async fn fresh() -> Self {
        Self::fresh_with("").await
    }

    /// A fresh database with these options of CREATE DATABASE.
    pub async fn fresh_with(options: &str) -> Self {
        let (server, _) = servers::shared();
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(&server)
            .await
            .expect("the shared server answers");
        let create = format!("CREATE DATABASE {name} {options}");
        connection
            .execute(sqlx::AssertSqlSafe(create))
            .await
            .expect("a database can be created");
        let (base, _) = server.rsplit_once('/').expect("the URL names a database");
        Self {
            url: format!("{base}/{name}"),
            shared: Some((server.clone(), name)),
        }
    }

    /// The database from which those of the shared server are made.
    pub fn at_shared_server() -> Self {
        Self::at(&servers::shared().0)
    }

    /// The database of a server that belongs to the test.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            shared: None,
        }
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url)
            .await
            .expect("the database answers")
    }

    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        connection
            .execute(sqlx::AssertSqlSafe(sql.to_owned()))
            .await
            .expect(sql);
    }

    pub async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .expect(sql)
    }

    /// Holds the lock of the default application's lane, so that its writers wait, until the connection is dropped or
    /// [`open_lane`] is called.
    pub async fn block_lane(&self) -> PgConnection {
        self.block_lane_of(ApplicationId::DEFAULT.get()).await
    }

    /// As [`block_lane`](Self::block_lane), of another application.
    pub async fn block_lane_of(&self, application: i64) -> PgConnection {
        let mut connection = self.connect().await;
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(locks::lane(ApplicationId::new(application)))
            .execute(&mut connection)
            .await
            .unwrap();
        connection
    }

    /// Has the database refuse every message with this text.
    pub async fn refuse_messages(&self, text: &str) {
        self.execute(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'poison'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW
             WHEN (NEW.text = '{text}') EXECUTE FUNCTION refuse()"
        ))
        .await;
    }

    /// Keeps the indexer from writing, until the connection is dropped. A write under way goes on.
    pub async fn block_indexer(&self) -> PgConnection {
        let mut connection = self.connect().await;
        connection
            .execute("BEGIN; LOCK TABLE search_entries IN SHARE ROW EXCLUSIVE MODE")
            .await
            .unwrap();
        connection
    }

    /// Waits until every change of a text is in the index of search.
    pub async fn until_indexed(&self) {
        eventually("everything is indexed", async || {
            let behind = "SELECT count(*) FROM changes AS c
                 JOIN followers AS f ON f.application_id = c.application_id AND f.name = 'search-index'
                 WHERE c.timestamp > f.cursor";
            (self.count(behind).await == 0).then_some(())
        })
        .await;
    }

    /// How many events of files are not known to be published.
    pub async fn waiting_events(&self) -> i64 {
        let waiting = "SELECT coalesce(sum(cardinality(c.files)), 0) FROM changes AS c
             JOIN followers AS f ON f.application_id = c.application_id AND f.name = 'file-events'
             WHERE c.timestamp > f.cursor";
        self.count(waiting).await
    }

    /// Waits until every event of a file was published.
    pub async fn until_events_are_published(&self) {
        eventually("all events are published", async || {
            (self.waiting_events().await == 0).then_some(())
        })
        .await;
    }

    /// Ends the connections that go by this name.
    pub async fn end_connections_of(&self, name: &str) {
        self.execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = '{name}'"
        ))
        .await;
    }

    /// Waits until a writer waits for the lane.
    pub async fn until_writer_waits(&self) {
        self.until_writers_wait(1).await;
    }

    /// Waits until so many writers wait for lanes.
    pub async fn until_writers_wait(&self, writers: i64) {
        eventually("writers wait for lanes", async || {
            let waiting = self
                .count(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event = 'advisory'
                       AND application_name = 'messages writer'",
                )
                .await;
            (waiting == writers).then_some(())
        })
        .await;
    }
}

/// Lets writers enter the lane again.
pub async fn open_lane(connection: PgConnection) {
    connection.close().await.expect("the connection closes");
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, name)) = self.shared.take() else {
            return;
        };
        // Dropping waits for the server, so it has a thread of its own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await.unwrap();
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                connection.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
            });
        });
        let _ = dropping.join();
    }
}
