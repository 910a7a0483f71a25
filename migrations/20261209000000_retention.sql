-- How long messages are kept, and what is gone.
ALTER TYPE change_kind ADD VALUE 'messages-expired' BEFORE 'settings-changed';
ALTER TYPE change_kind ADD VALUE 'messages-cleared' BEFORE 'raised';

-- How many days messages are kept: for ever where it is NULL.
ALTER TABLE applications
    ADD COLUMN retention_days integer CHECK (retention_days BETWEEN 1 AND 36500),
    -- The largest id of a message that has expired. Whoever reads a message with a larger one need not look
    -- whether its conversation still has it.
    ADD COLUMN expired bigint NOT NULL DEFAULT 0,
    -- The timeline is trimmed up to here: changes and updates up to this timestamp may be deleted. It is
    -- raised before they are.
    ADD COLUMN trimmed bigint NOT NULL DEFAULT 0;

-- Messages with a smaller number than `first` have expired. Their rows are deleted some time later, apart
-- from that of the newest message, whose number the next message must follow. A chat may keep its messages
-- for longer or shorter than its application does.
ALTER TABLE conversations
    ADD COLUMN first          bigint  NOT NULL DEFAULT 1,
    ADD COLUMN retention_days integer CHECK (retention_days BETWEEN 1 AND 36500);

-- Where messages may expire or are to be deleted, whatever the application keeps.
CREATE INDEX conversations_with_retention ON conversations (application_id, id)
    WHERE first > 1 OR retention_days IS NOT NULL;

-- The longest retention of an application's chats.
CREATE INDEX conversations_of_retention ON conversations (application_id, retention_days)
    WHERE retention_days IS NOT NULL AND deleted IS NULL;
