-- Stores a batch of one application: see batch.rs.
WITH message AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::bigint[],
        $15::boolean[], $16::text[], $17::bytea[], $18::boolean[]
    ) AS message (
        id, timestamp, sender, recipient, chat_number, conversation_id, number, created, edited, text,
        files, attributes, reply_to, deleted, idempotency_key, request_digest, is_new
    )
),
inserted AS (
    INSERT INTO messages (
        application_id, id, timestamp, sender, recipient, chat_number, conversation_id, number, created,
        edited, text, files, attributes, reply_to, deleted, idempotency_key, request_digest
    )
    SELECT $1, id, timestamp, sender, recipient, chat_number, conversation_id, number, created, edited,
           text, files::text[], attributes::json, reply_to, deleted, idempotency_key, request_digest
    FROM message
    WHERE is_new
),
-- A deletion clears the data. An edit keeps the data that it does not change.
changed AS (
    UPDATE messages AS m
    SET timestamp  = message.timestamp,
        edited     = message.edited,
        text       = message.text,
        deleted    = message.deleted,
        files      = CASE WHEN message.deleted THEN NULL ELSE m.files END,
        attributes = CASE WHEN message.deleted THEN NULL ELSE m.attributes END,
        reply_to   = CASE WHEN message.deleted THEN NULL ELSE m.reply_to END
    FROM message
    -- The limit makes this a lookup by key, whatever the planner assumes about the table.
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM messages WHERE application_id = $1 AND id = message.id LIMIT 1
    ) AS found
    WHERE NOT message.is_new AND m.application_id = $1 AND m.ctid = found.place
),
-- The personal conversations that the batch creates, or whose positions it moves.
conversation AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $19::bigint[], $20::bigint[], $21::timestamptz[], $22::text[], $23::text[], $24::bigint[],
        $25::bigint[], $26::boolean[]
    ) AS conversation (id, timestamp, created, least, greatest, least_read, greatest_read, is_new)
),
created AS (
    INSERT INTO conversations (
        application_id, id, timestamp, created, least, greatest, least_read, greatest_read
    )
    SELECT $1, id, timestamp, created, least, greatest, least_read, greatest_read
    FROM conversation
    WHERE is_new
),
moved AS (
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
),
updated AS (
    INSERT INTO updates (application_id, user_id, timestamp, message_id, with_user)
    SELECT $1, updated.*
    FROM unnest($27::text[], $28::bigint[], $29::bigint[], $30::text[]) AS updated
)
INSERT INTO changes (
    application_id, created, timestamp, kind, message_id, conversation_id, actor, files
)
SELECT $1, $31, timestamp, kind::change_kind, message_id, conversation_id, actor, files::text[]
FROM unnest($32::bigint[], $33::text[], $34::bigint[], $35::bigint[], $36::text[], $37::text[])
         AS change (timestamp, kind, message_id, conversation_id, actor, files)
