-- Chats are numbered 1, 2, 3 … within their application; the last number given is kept in its row.
ALTER TABLE applications ADD COLUMN chats bigint NOT NULL DEFAULT 0;

-- The counts stand in the row, where the next number is drawn from: `messages` is the last number
-- given to a message of the chat, `members` counts the present ones.
CREATE TABLE chats (
    application_id  bigint      NOT NULL,
    number          bigint      NOT NULL,
    timestamp       bigint      NOT NULL,
    name            text        NOT NULL,
    owner           text        COLLATE "C",
    created         timestamptz NOT NULL,
    messages        bigint      NOT NULL,
    members         integer     NOT NULL,
    creator         text        COLLATE "C",
    idempotency_key text        COLLATE "C",
    request_digest  bytea,
    PRIMARY KEY (application_id, number)
) WITH (fillfactor = 80);

-- No creator is the application itself; no user's id is empty.
CREATE UNIQUE INDEX chats_idempotency ON chats (application_id, coalesce(creator, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- Who was a member, from one point of the timeline to another; a return is a new row. Whoever was a
-- member at a change's timestamp gets its update.
CREATE TABLE chat_members (
    application_id bigint NOT NULL,
    chat_number    bigint NOT NULL,
    user_id        text   NOT NULL COLLATE "C",
    joined         bigint NOT NULL,
    departed       bigint,
    PRIMARY KEY (application_id, chat_number, user_id, joined)
);

-- The present members of a chat: whom its changes are told, and who is one of them.
CREATE INDEX chat_members_of_chat ON chat_members (application_id, chat_number, user_id)
    INCLUDE (joined) WHERE departed IS NULL;
CREATE INDEX chat_members_of_user ON chat_members (application_id, user_id, chat_number)
    WHERE departed IS NULL;

-- A message belongs to a conversation of two users or to a chat, where it has a number. A message of
-- a chat has no sender where the application itself has posted it.
ALTER TABLE messages
    ALTER COLUMN sender DROP NOT NULL,
    ALTER COLUMN recipient DROP NOT NULL,
    ADD COLUMN chat_number bigint,
    ADD COLUMN number bigint,
    ADD CONSTRAINT messages_conversation CHECK (
        CASE WHEN chat_number IS NULL
            THEN number IS NULL AND sender IS NOT NULL AND recipient IS NOT NULL
            ELSE number IS NOT NULL AND recipient IS NULL
        END
    );

CREATE UNIQUE INDEX messages_of_chat ON messages (application_id, chat_number, number)
    WHERE chat_number IS NOT NULL;
CREATE INDEX messages_of_conversation
    ON messages (application_id, least(sender, recipient), greatest(sender, recipient), id)
    WHERE chat_number IS NULL;

DROP INDEX messages_idempotency;
CREATE UNIQUE INDEX messages_idempotency
    ON messages (application_id, coalesce(sender, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- An update tells of a message or of a chat.
ALTER TABLE updates
    DROP CONSTRAINT updates_pkey,
    ALTER COLUMN message_id DROP NOT NULL,
    ADD COLUMN chat_number bigint,
    ADD CONSTRAINT updates_subject CHECK ((message_id IS NULL) <> (chat_number IS NULL)),
    ADD PRIMARY KEY (application_id, user_id, timestamp) INCLUDE (message_id, chat_number);
