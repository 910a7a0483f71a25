-- What a member sees of a conversation: how far it has read, what it has set, who has named it.

-- How far a member has read follows from two numbers that it sets, by marks and by joining, and from
-- the newest message that it has sent (src/domain/position.rs). So a message that is sent changes no
-- row of a member. Until now a mark alone moved the position; what was sent since counts from now on.
ALTER TABLE conversations
    ADD COLUMN least_as_of     bigint,
    ADD COLUMN greatest_as_of  bigint,
    -- Whether the user wants no messages from the other one.
    ADD COLUMN least_blocks    boolean,
    ADD COLUMN greatest_blocks boolean;
UPDATE conversations
SET least_as_of = least_read, greatest_as_of = greatest_read, least_blocks = false, greatest_blocks = false
WHERE chat_number IS NULL;
ALTER TABLE conversations
    DROP CONSTRAINT conversations_kind,
    ADD CONSTRAINT conversations_kind CHECK (
        CASE WHEN chat_number IS NULL
            THEN num_nulls(
                     least, greatest, least_read, greatest_read, least_as_of, greatest_as_of, least_blocks,
                     greatest_blocks
                 ) = 0 AND least <= greatest
             AND num_nonnulls(name, owner, members, creator, idempotency_key, request_digest) = 0
            ELSE num_nonnulls(
                     least, greatest, least_read, greatest_read, least_as_of, greatest_as_of, least_blocks,
                     greatest_blocks
                 ) = 0
             AND num_nulls(name, members) = 0
        END
    );
-- The personal conversations of a user, with `conversations_of_pair`.
CREATE INDEX conversations_of_greatest ON conversations (application_id, greatest, least)
    WHERE chat_number IS NULL AND least <> greatest;

-- The number up to which the member has read, and the number of the newest message when that was set.
-- Whoever is a member already has read everything.
ALTER TABLE chat_members
    ADD COLUMN read  bigint NOT NULL DEFAULT 0,
    ADD COLUMN as_of bigint NOT NULL DEFAULT 0,
    SET (fillfactor = 80);
UPDATE chat_members AS m
SET read = newest.number, as_of = newest.number
FROM conversations AS c
CROSS JOIN LATERAL (
    SELECT number FROM messages
    WHERE application_id = c.application_id AND conversation_id = c.id
    ORDER BY number DESC LIMIT 1
) AS newest
WHERE m.departed IS NULL AND c.application_id = m.application_id AND c.chat_number = m.chat_number;

ALTER TABLE messages
    -- The change that has created the message, where a later one has taken its timestamp.
    ADD COLUMN sent             bigint,
    -- Of a personal message: the number of the recipient's newest message before it, 0 for none. It is
    -- read of the newest message of a conversation alone.
    ADD COLUMN recipient_newest bigint,
    -- Who is named by the message, each once; or everybody.
    ADD COLUMN mentions         text[]  COLLATE "C",
    ADD COLUMN mentions_all     boolean;
UPDATE messages AS m
SET sent = c.timestamp
FROM changes AS c
WHERE c.application_id = m.application_id AND c.message_id = m.id AND c.kind = 'message-created'
  AND c.timestamp <> m.timestamp;
UPDATE messages AS m
SET recipient_newest = coalesce((
    SELECT number FROM messages
    WHERE application_id = m.application_id AND conversation_id = m.conversation_id
      AND sender = m.recipient AND number < m.number
    ORDER BY number DESC LIMIT 1
), 0)
FROM conversations AS c
CROSS JOIN LATERAL (
    SELECT id FROM messages
    WHERE application_id = c.application_id AND conversation_id = c.id
    ORDER BY number DESC LIMIT 1
) AS newest
WHERE c.chat_number IS NULL AND m.application_id = c.application_id AND m.id = newest.id;

-- The newest message that a member has sent into a chat.
CREATE INDEX messages_of_sender ON messages (application_id, chat_number, sender, number)
    WHERE chat_number IS NOT NULL AND sender IS NOT NULL;
-- What does not count as unread, and what counts as a mention of everybody. Changing one of the two
-- touches the indexes of a message; other edits still touch none.
CREATE INDEX messages_deleted ON messages (application_id, conversation_id, number) WHERE deleted;
CREATE INDEX messages_to_all ON messages (application_id, conversation_id, number) WHERE mentions_all;

-- Who is named by which message, one row for each; not where the message names everybody, nor where its
-- sender names itself.
CREATE TABLE mentions (
    application_id  bigint NOT NULL,
    user_id         text   NOT NULL COLLATE "C",
    conversation_id bigint NOT NULL,
    number          bigint NOT NULL,
    PRIMARY KEY (application_id, user_id, conversation_id, number)
);

-- Whether the change names the user for the first time; NULL where it does not.
ALTER TABLE updates
    ADD COLUMN mention boolean,
    DROP CONSTRAINT updates_pkey,
    ADD PRIMARY KEY (application_id, user_id, timestamp)
        INCLUDE (message_id, chat_number, with_user, mention);

-- What a user has set for a conversation; there is no row where nothing was ever set.
CREATE TABLE conversation_settings (
    application_id  bigint  NOT NULL,
    user_id         text    NOT NULL COLLATE "C",
    conversation_id bigint  NOT NULL,
    pinned          boolean NOT NULL,
    muted_until     timestamptz,
    -- The timestamp at which it was archived: it holds until a newer message comes.
    archived        bigint,
    attributes      json,
    -- When the user has set something for the first time: a conversation without a message shows this as
    -- its beginning, and not what the other user has set before.
    since           bigint      NOT NULL,
    created         timestamptz NOT NULL,
    PRIMARY KEY (application_id, user_id, conversation_id)
) WITH (fillfactor = 80);

ALTER TYPE change_kind ADD VALUE 'settings-changed' BEFORE 'raised';
