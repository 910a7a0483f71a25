-- What a chat allows, and what each of its members may do.
ALTER TABLE conversations
    ADD COLUMN attributes       json,
    -- Announcements: nobody posts but moderators, the owner and the application.
    ADD COLUMN moderators_post  boolean NOT NULL DEFAULT false,
    -- Nobody posts but the application.
    ADD COLUMN frozen           boolean NOT NULL DEFAULT false,
    -- A member reads what came after it has joined, and nothing from before.
    ADD COLUMN since_joining    boolean NOT NULL DEFAULT false,
    -- How many seconds a member waits between two messages; 0 for none.
    ADD COLUMN slow_mode        integer NOT NULL DEFAULT 0,
    -- The change by which the chat was deleted. Its row stays, so that its number is not used again.
    ADD COLUMN deleted          bigint,
    -- Whether messages of the deleted chat are still to be cleared.
    ADD COLUMN to_clear         boolean NOT NULL DEFAULT false;
CREATE INDEX conversations_to_clear ON conversations (application_id, id) WHERE to_clear;

CREATE TYPE chat_role AS ENUM ('reader', 'member', 'moderator');
ALTER TABLE chat_members
    -- The owner is one of them, and stands in the chat's own row.
    ADD COLUMN role        chat_role NOT NULL DEFAULT 'member',
    ADD COLUMN muted_until timestamptz,
    -- The number of the newest message when the user joined.
    ADD COLUMN since       bigint    NOT NULL DEFAULT 0,
    -- The user reads what comes after this number: after `since`, where the chat says so, or else all.
    ADD COLUMN reads_after bigint    NOT NULL DEFAULT 0;
UPDATE chat_members AS m
SET since = joined.number
FROM (
    SELECT application_id, chat_number, user_id, at AS joined,
           max(number) OVER (PARTITION BY application_id, chat_number ORDER BY at) AS number
    FROM (
        SELECT application_id, chat_number, user_id, joined AS at, NULL::bigint AS number
        FROM chat_members
        UNION ALL
        SELECT application_id, chat_number, NULL, coalesce(sent, timestamp), number
        FROM messages WHERE chat_number IS NOT NULL
    ) AS events
) AS joined
WHERE m.application_id = joined.application_id AND m.chat_number = joined.chat_number
  AND m.user_id = joined.user_id AND m.joined = joined.joined AND joined.number IS NOT NULL;

-- As before, with what a change of a message depends on.
DROP INDEX chat_members_of_chat;
CREATE INDEX chat_members_of_chat ON chat_members (application_id, chat_number, user_id)
    INCLUDE (joined, reads_after) WHERE departed IS NULL;
DROP INDEX chat_members_of_user;
CREATE INDEX chat_members_of_user ON chat_members (application_id, user_id, chat_number)
    INCLUDE (joined, reads_after) WHERE departed IS NULL AND user_id IS NOT NULL;

-- Who is kept from joining a chat.
CREATE TABLE chat_bans (
    application_id bigint      NOT NULL,
    chat_number    bigint      NOT NULL,
    user_id        text        NOT NULL COLLATE "C",
    created        timestamptz NOT NULL,
    PRIMARY KEY (application_id, chat_number, user_id)
);

-- A message that tells of a change of its chat. It is never unread.
ALTER TABLE messages ADD COLUMN system boolean NOT NULL DEFAULT false;
CREATE INDEX messages_never_unread ON messages (application_id, conversation_id, number)
    WHERE deleted OR system;
DROP INDEX messages_deleted;

ALTER TYPE change_kind ADD VALUE 'chat-deleted' AFTER 'chat-changed';
