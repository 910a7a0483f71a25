-- The timeline tells an application what has changed without looking anything else up.

ALTER TABLE changes
    -- The conversation as the actor names it: the chat, or the other user of a personal one.
    ADD COLUMN chat_number bigint,
    ADD COLUMN with_user   text COLLATE "C",
    -- The number of the message.
    ADD COLUMN number      bigint,
    -- The members who are added to a chat or removed from it, or who have moved their positions.
    ADD COLUMN members     text[] COLLATE "C";

UPDATE changes AS change
SET chat_number = c.chat_number,
    with_user = CASE WHEN c.chat_number IS NULL
        THEN CASE WHEN c.least = change.actor THEN c.greatest ELSE c.least END END,
    number = (
        SELECT m.number FROM messages AS m
        WHERE m.application_id = change.application_id AND m.id = change.message_id
    ),
    -- What the positions of several users have moved at once, names one of them.
    members = CASE WHEN change.kind = 'positions-moved' THEN ARRAY[change.actor] END
FROM conversations AS c
WHERE c.application_id = change.application_id AND c.id = change.conversation_id;

ALTER TYPE change_kind ADD VALUE 'member-added' BEFORE 'positions-moved';
ALTER TYPE change_kind ADD VALUE 'member-removed' BEFORE 'positions-moved';

-- Which users have a stream open on which replica of the service, and when each replica was last seen.
-- Nothing is lost with these: a replica writes its own again.
CREATE UNLOGGED TABLE replicas (
    id   bigint      PRIMARY KEY,
    seen timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE presence (
    application_id bigint NOT NULL,
    user_id        text   NOT NULL COLLATE "C",
    replica        bigint NOT NULL,
    PRIMARY KEY (application_id, user_id, replica)
);

INSERT INTO followers (application_id, name, cursor) SELECT id, 'feed-exchange', 0 FROM applications;
