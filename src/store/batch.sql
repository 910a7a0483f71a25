-- Stores a batch: see batch.rs.
WITH message AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[],
        $14::bigint[], $15::boolean[], $16::text[], $17::bytea[], $18::boolean[], $19::boolean[]
    ) AS message (
        application_id, id, timestamp, sender, recipient, chat_number, conversation_id, number, created,
        edited, text, files, attributes, reply_to, deleted, idempotency_key, request_digest, is_new,
        changes_text
    )
),
inserted AS (
    INSERT INTO messages (
        application_id, id, timestamp, sender, recipient, chat_number, conversation_id, number, created,
        edited, text, files, attributes, reply_to, deleted, idempotency_key, request_digest
    )
    SELECT application_id, id, timestamp, sender, recipient, chat_number, conversation_id, number,
           created, edited, text, files::text[], attributes::json, reply_to, deleted, idempotency_key,
           request_digest
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
    WHERE NOT message.is_new AND m.application_id = message.application_id AND m.id = message.id
),
pending AS (
    INSERT INTO search_pending (application_id, message_id, sender, recipient, chat_number)
    SELECT application_id, id, sender, recipient, chat_number FROM message WHERE changes_text
),
-- The personal conversations that the batch creates, or whose positions it moves.
conversation AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $20::bigint[], $21::bigint[], $22::bigint[], $23::timestamptz[], $24::text[], $25::text[],
        $26::bigint[], $27::bigint[], $28::boolean[]
    ) AS conversation (
        application_id, id, timestamp, created, least, greatest, least_read, greatest_read, is_new
    )
),
created AS (
    INSERT INTO conversations (
        application_id, id, timestamp, created, least, greatest, least_read, greatest_read
    )
    SELECT application_id, id, timestamp, created, least, greatest, least_read, greatest_read
    FROM conversation
    WHERE is_new
),
moved AS (
    UPDATE conversations AS c
    SET timestamp     = conversation.timestamp,
        least_read    = conversation.least_read,
        greatest_read = conversation.greatest_read
    FROM conversation
    WHERE NOT conversation.is_new AND c.application_id = conversation.application_id
      AND c.id = conversation.id
),
updated AS (
    INSERT INTO updates (application_id, user_id, timestamp, message_id, with_user)
    SELECT * FROM unnest($29::bigint[], $30::text[], $31::bigint[], $32::bigint[], $33::text[])
),
recorded AS (
    INSERT INTO batches (writer, batch, committed)
    VALUES ($34, $35, clock_timestamp())
)
SELECT setval('timeline', $36)    AS "timestamp!",
       setval('message_ids', $37) AS "id",
       ARRAY(
           SELECT pg_notify($38, payload)::text FROM unnest($39::text[]) AS payload
       )                          AS "notified!"
