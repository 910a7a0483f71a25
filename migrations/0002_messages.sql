-- A message in its one version: the present one. A deleted message keeps who may know of it and
-- loses everything else. The fill factor leaves room to change a row within its page, which
-- touches no index, because no index holds a column that changes.
CREATE TABLE messages (
    application_id  bigint      NOT NULL,
    id              bigint      NOT NULL,
    timestamp       bigint      NOT NULL,
    sender          text        NOT NULL COLLATE "C",
    recipient       text        NOT NULL COLLATE "C",
    created         timestamptz NOT NULL,
    edited          timestamptz,
    read            boolean     NOT NULL,
    text            text,
    files           text[],
    attributes      json,
    reply_to        bigint,
    deleted         boolean     NOT NULL,
    idempotency_key text        COLLATE "C",
    request_digest  bytea,
    PRIMARY KEY (application_id, id)
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX messages_idempotency ON messages (application_id, sender, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- One row per change and user concerned, append-only. The key covers the row, and vacuum follows
-- the inserts closely enough for a sync to be answered from the index alone.
CREATE TABLE updates (
    application_id bigint NOT NULL,
    user_id        text   NOT NULL COLLATE "C",
    timestamp      bigint NOT NULL,
    message_id     bigint NOT NULL,
    PRIMARY KEY (application_id, user_id, timestamp) INCLUDE (message_id)
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05
);
