-- The schema. Later migrations add to it; this file stays as it is.
--
-- Every key of a table that belongs to tenants begins with the tenant, `application_id`. Columns that
-- are compared byte by byte have the collation "C".

-- Timestamps and ids of messages: unique in the whole service. An application draws them in blocks of
-- 32 (src/domain/numbers.rs) under the lock of its timeline. No value exceeds 2^53 - 1, so that every
-- one is exact in JavaScript; CACHE 1, because a cached value would be handed out of order.
CREATE SEQUENCE timeline AS bigint INCREMENT 32 MINVALUE 1 MAXVALUE 9007199254740960 CACHE 1;
CREATE SEQUENCE message_ids AS bigint INCREMENT 32 MINVALUE 1 MAXVALUE 9007199254740960 CACHE 1;
CREATE SEQUENCE application_ids AS bigint MINVALUE 2 MAXVALUE 9007199254740991;

-- The branch of PostgreSQL's history on which the counters stand: its system identifier and timeline
-- id. A server on another one may have lost commits (src/store/branch.rs).
CREATE TABLE branch (
    is_the_only_row boolean     PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
    system          bigint      NOT NULL,
    timeline        integer     NOT NULL,
    since           timestamptz NOT NULL DEFAULT now()
);

-- The tenants. Of a token, the SHA-256 hash is stored; the default application has no token until the
-- administrator makes one. An id is drawn before the row is there, since a token names its application.
CREATE TABLE applications (
    id         bigint      PRIMARY KEY,
    name       text        NOT NULL,
    created    timestamptz NOT NULL DEFAULT now(),
    token_hash bytea       CHECK (octet_length(token_hash) = 32),
    -- How many chats it has.
    chats      bigint      NOT NULL DEFAULT 0,
    -- The last number given to one of its chats. It is raised where chats may have been lost.
    last_chat  bigint      NOT NULL DEFAULT 0
);

INSERT INTO applications (id, name) VALUES (1, 'default');

-- The timeline of each application: one row for each change, appended in its transaction and never
-- changed. Commits come in the order of timestamps, so whoever has read it up to one of them has missed
-- no smaller one. `raised` is no change: it ends a timeline whose later part may be lost.
CREATE TYPE change_kind AS ENUM (
    'message-created', 'message-edited', 'message-deleted', 'chat-created', 'chat-changed',
    'positions-moved', 'raised'
);

CREATE TABLE changes (
    application_id  bigint      NOT NULL,
    timestamp       bigint      NOT NULL,
    kind            change_kind NOT NULL,
    -- What has changed: the message, if it is one, and the conversation.
    message_id      bigint,
    conversation_id bigint,
    -- The user who has made the change; none where the application itself has.
    actor           text        COLLATE "C",
    created         timestamptz NOT NULL,
    -- The files whose use begins with a message that is created, or ends with one that is deleted.
    files           text[],
    PRIMARY KEY (application_id, timestamp)
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05
);

-- The events of files follow these alone.
CREATE INDEX changes_with_files ON changes (application_id, timestamp) WHERE files IS NOT NULL;

-- Conversations: personal ones, of two users or of one with itself, and chats. The id is the timestamp
-- of the change that has created the conversation.
--
-- A message that is sent changes no row here. The count of a conversation's messages is the number of
-- its newest message, which the index of messages finds: a row that every message changes would leave
-- a version for each of them for as long as an old snapshot is open.
CREATE TABLE conversations (
    application_id  bigint      NOT NULL,
    id              bigint      NOT NULL,
    -- The last change of the conversation itself: of positions, or of a chat's name or members.
    timestamp       bigint      NOT NULL,
    created         timestamptz NOT NULL,

    -- A personal conversation: its users in the order of their ids, byte by byte, and how far each has
    -- read, as the number of a message. In a conversation with oneself, `least_read` counts.
    least           text        COLLATE "C",
    greatest        text        COLLATE "C",
    least_read      bigint,
    greatest_read   bigint,

    -- A chat. Its numbers are 1, 2, 3 … within the application. It has no owner where the application
    -- itself has created it, and no creator either.
    chat_number     bigint,
    name            text,
    owner           text        COLLATE "C",
    members         integer,
    creator         text        COLLATE "C",
    idempotency_key text        COLLATE "C",
    request_digest  bytea,

    PRIMARY KEY (application_id, id),
    CONSTRAINT conversations_kind CHECK (
        CASE WHEN chat_number IS NULL
            THEN num_nulls(least, greatest, least_read, greatest_read) = 0 AND least <= greatest
             AND num_nonnulls(name, owner, members, creator, idempotency_key, request_digest) = 0
            ELSE num_nonnulls(least, greatest, least_read, greatest_read) = 0
             AND num_nulls(name, members) = 0
        END
    )
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX conversations_of_pair ON conversations (application_id, least, greatest)
    WHERE chat_number IS NULL;
CREATE UNIQUE INDEX conversations_of_chat ON conversations (application_id, chat_number)
    WHERE chat_number IS NOT NULL;
CREATE UNIQUE INDEX conversations_idempotency
    ON conversations (application_id, coalesce(creator, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- Who was a member of a chat, from one point of the timeline to another; a return is a new row. Whoever
-- was a member at a change's timestamp gets its update.
CREATE TABLE chat_members (
    application_id bigint NOT NULL,
    chat_number    bigint NOT NULL,
    user_id        text   NOT NULL COLLATE "C",
    joined         bigint NOT NULL,
    departed       bigint,
    PRIMARY KEY (application_id, chat_number, user_id, joined)
);

-- The present members of a chat: who has updates of its changes, and who may read it.
CREATE INDEX chat_members_of_chat ON chat_members (application_id, chat_number, user_id)
    INCLUDE (joined) WHERE departed IS NULL;
-- The chats of a user. The condition on the user always holds; it keeps the planner from taking this
-- index where no user is named.
CREATE INDEX chat_members_of_user ON chat_members (application_id, user_id, chat_number)
    INCLUDE (joined) WHERE departed IS NULL AND user_id IS NOT NULL;

-- A message in its one version: the present one. A deleted message keeps who may know of it and
-- loses everything else. The fill factor leaves room to change a row within its page, which touches no
-- index, because no index holds a column that changes.
CREATE TABLE messages (
    application_id  bigint      NOT NULL,
    id              bigint      NOT NULL,
    -- Its conversation, and its number 1, 2, 3 … within it.
    conversation_id bigint      NOT NULL,
    number          bigint      NOT NULL,
    timestamp       bigint      NOT NULL,
    -- A personal message has both; a message of a chat has no recipient, and no sender where the
    -- application itself has posted it.
    sender          text        COLLATE "C",
    recipient       text        COLLATE "C",
    chat_number     bigint,
    created         timestamptz NOT NULL,
    edited          timestamptz,
    text            text,
    files           text[],
    attributes      json,
    reply_to        bigint,
    deleted         boolean     NOT NULL,
    idempotency_key text        COLLATE "C",
    request_digest  bytea,
    PRIMARY KEY (application_id, id),
    CONSTRAINT messages_conversation CHECK (
        CASE WHEN chat_number IS NULL
            THEN sender IS NOT NULL AND recipient IS NOT NULL
            ELSE recipient IS NULL
        END
    )
) WITH (fillfactor = 90);

-- The history of a conversation, and the number of its newest message. The condition always holds; it
-- keeps the planner, which may know nothing of the table yet, from taking this index for a lookup by id.
CREATE UNIQUE INDEX messages_of_conversation ON messages (application_id, conversation_id, number)
    WHERE conversation_id IS NOT NULL;
CREATE UNIQUE INDEX messages_idempotency
    ON messages (application_id, coalesce(sender, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- One row for each change and user concerned, append-only: it names the message, the chat, or the other
-- user of the personal conversation that has changed. The key covers the row, and vacuum follows the
-- inserts closely enough for a sync to be answered from the index alone.
CREATE TABLE updates (
    application_id bigint NOT NULL,
    user_id        text   NOT NULL COLLATE "C",
    timestamp      bigint NOT NULL,
    message_id     bigint,
    chat_number    bigint,
    with_user      text   COLLATE "C",
    PRIMARY KEY (application_id, user_id, timestamp) INCLUDE (message_id, chat_number, with_user),
    CONSTRAINT updates_subject CHECK (num_nonnulls(message_id, chat_number, with_user) = 1)
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05
);

-- How far each follower has followed the timeline of an application: it has done its work for every
-- change up to its cursor. The rows of an application are inserted with it.
CREATE TABLE followers (
    application_id bigint NOT NULL,
    name           text   NOT NULL COLLATE "C",
    cursor         bigint NOT NULL,
    PRIMARY KEY (application_id, name)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

INSERT INTO followers (application_id, name, cursor) VALUES (1, 'file-events', 0), (1, 'search-index', 0);

-- Search: what each message can be found by, kept by a follower and never by the commit of a change.
--
-- The terms of a text, and with them those of its readers and of its place among all messages
-- (src/search/terms.rs). `terms_version` says what the terms mean; an indexer of another version cannot
-- write here. The list of entries that are not merged yet is read by every search, so it is kept short.
CREATE TABLE search_entries (
    application_id bigint   NOT NULL,
    message_id     bigint   NOT NULL,
    terms          tsvector NOT NULL,
    terms_version  smallint NOT NULL CHECK (terms_version = 2)
);
-- The condition always holds; it keeps the planner from taking this index where terms are looked up.
CREATE UNIQUE INDEX search_entries_of_message ON search_entries (application_id, message_id)
    WHERE terms_version > 0;
CREATE INDEX search_terms ON search_entries USING gin (terms) WITH (gin_pending_list_limit = 2048);
