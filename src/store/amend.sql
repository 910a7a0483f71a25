-- Stores the messages that a batch of one application edits or deletes, and the personal conversations
-- that it begins, or in which users move their positions or block each other: see batch.rs.
WITH amended AS (
    -- A deletion clears the data. An edit keeps the data that it does not change.
    UPDATE messages AS m
    SET timestamp    = message.timestamp,
        sent         = coalesce(m.sent, m.timestamp),
        edited       = message.edited,
        text         = message.text,
        deleted      = message.deleted,
        mentions     = message.mentions::text[],
        mentions_all = message.mentions_all,
        files        = CASE WHEN message.deleted THEN NULL ELSE m.files END,
        attributes   = CASE WHEN message.deleted THEN NULL ELSE m.attributes END,
        reply_to     = CASE WHEN message.deleted THEN NULL ELSE m.reply_to END
    FROM unnest(
        $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::boolean[], $7::text[], $8::boolean[]
    ) AS message (id, timestamp, edited, text, deleted, mentions, mentions_all)
    -- The limit makes this a lookup by key, whatever the planner assumes about the table.
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM messages WHERE application_id = $1 AND id = message.id LIMIT 1
    ) AS found
    WHERE m.application_id = $1 AND m.ctid = found.place
),
conversation AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $9::bigint[], $10::bigint[], $11::timestamptz[], $12::text[], $13::text[], $14::bigint[],
        $15::bigint[], $16::bigint[], $17::bigint[], $18::boolean[], $19::boolean[], $20::boolean[]
    ) AS conversation (
        id, timestamp, created, least, greatest, least_read, greatest_read, least_as_of,
        greatest_as_of, least_blocks, greatest_blocks, is_new
    )
),
begun AS (
    INSERT INTO conversations (
        application_id, id, timestamp, created, least, greatest, least_read, greatest_read,
        least_as_of, greatest_as_of, least_blocks, greatest_blocks
    )
    SELECT $1, id, timestamp, created, least, greatest, least_read, greatest_read, least_as_of,
           greatest_as_of, least_blocks, greatest_blocks
    FROM conversation
    WHERE is_new
)
UPDATE conversations AS c
SET timestamp       = conversation.timestamp,
    created         = conversation.created,
    least_read      = conversation.least_read,
    greatest_read   = conversation.greatest_read,
    least_as_of     = conversation.least_as_of,
    greatest_as_of  = conversation.greatest_as_of,
    least_blocks    = conversation.least_blocks,
    greatest_blocks = conversation.greatest_blocks
FROM conversation
CROSS JOIN LATERAL (
    SELECT ctid AS place FROM conversations
    WHERE application_id = $1 AND id = conversation.id
    LIMIT 1
) AS found
WHERE NOT conversation.is_new AND c.application_id = $1 AND c.ctid = found.place
