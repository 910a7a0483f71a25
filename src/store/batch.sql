-- Stores a batch: see batch.rs.
WITH message AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
        $8::timestamptz[], $9::timestamptz[], $10::boolean[], $11::text[], $12::text[], $13::text[],
        $14::bigint[], $15::boolean[], $16::text[], $17::bytea[], $18::boolean[], $19::boolean[]
    ) AS message (
        application_id, id, timestamp, sender, recipient, chat_number, number, created, edited, read,
        text, files, attributes, reply_to, deleted, idempotency_key, request_digest, is_new,
        changes_text
    )
),
inserted AS (
    INSERT INTO messages (
        application_id, id, timestamp, sender, recipient, chat_number, number, created, edited, read,
        text, files, attributes, reply_to, deleted, idempotency_key, request_digest
    )
    SELECT application_id, id, timestamp, sender, recipient, chat_number, number, created, edited,
           read, text, files::text[], attributes::json, reply_to, deleted, idempotency_key,
           request_digest
    FROM message
    WHERE is_new
),
-- A deletion clears the data. An edit keeps the data that it does not change.
changed AS (
    UPDATE messages AS m
    SET timestamp  = message.timestamp,
        edited     = message.edited,
        read       = message.read,
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
personal AS (
    INSERT INTO updates (application_id, user_id, timestamp, message_id)
    SELECT * FROM unnest($20::bigint[], $21::text[], $22::bigint[], $23::bigint[])
),
recorded AS (
    INSERT INTO batches (writer, batch, committed)
    VALUES ($24, $25, clock_timestamp())
)
SELECT setval('timeline', $26)    AS "timestamp!",
       setval('message_ids', $27) AS "id",
       ARRAY(
           SELECT pg_notify($28, payload)::text FROM unnest($29::text[]) AS payload
       )                          AS "notified!"
