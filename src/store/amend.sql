-- Stores the messages that a batch of one application edits or deletes, and the personal conversations
-- that it begins, or whose positions it moves: see batch.rs.
WITH amended AS (
    -- A deletion clears the data. An edit keeps the data that it does not change.
    UPDATE messages AS m
    SET timestamp  = message.timestamp,
        edited     = message.edited,
        text       = message.text,
        deleted    = message.deleted,
        files      = CASE WHEN message.deleted THEN NULL ELSE m.files END,
        attributes = CASE WHEN message.deleted THEN NULL ELSE m.attributes END,
        reply_to   = CASE WHEN message.deleted THEN NULL ELSE m.reply_to END
    FROM unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::boolean[])
             AS message (id, timestamp, edited, text, deleted)
    -- The limit makes this a lookup by key, whatever the planner assumes about the table.
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM messages WHERE application_id = $1 AND id = message.id LIMIT 1
    ) AS found
    WHERE m.application_id = $1 AND m.ctid = found.place
),
conversation AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $7::bigint[], $8::bigint[], $9::timestamptz[], $10::text[], $11::text[], $12::bigint[],
        $13::bigint[], $14::boolean[]
    ) AS conversation (id, timestamp, created, least, greatest, least_read, greatest_read, is_new)
),
begun AS (
    INSERT INTO conversations (
        application_id, id, timestamp, created, least, greatest, least_read, greatest_read
    )
    SELECT $1, id, timestamp, created, least, greatest, least_read, greatest_read
    FROM conversation
    WHERE is_new
)
UPDATE conversations AS c
SET timestamp     = conversation.timestamp,
    least_read    = conversation.least_read,
    greatest_read = conversation.greatest_read
FROM conversation
CROSS JOIN LATERAL (
    SELECT ctid AS place FROM conversations
    WHERE application_id = $1 AND id = conversation.id
    LIMIT 1
) AS found
WHERE NOT conversation.is_new AND c.application_id = $1 AND c.ctid = found.place
