-- Appends what the changes of a batch of one application add: see batch.rs.
WITH created AS (
    INSERT INTO messages (
        application_id, id, timestamp, sender, recipient, chat_number, conversation_id, number, created,
        edited, text, files, attributes, reply_to, deleted, sent, recipient_newest, mentions,
        mentions_all, system, idempotency_key, request_digest, import_key
    )
    SELECT $1, id, timestamp, sender, recipient, chat_number, conversation_id, number, created, edited,
           text, files::text[], attributes::json, reply_to, deleted, sent, recipient_newest,
           mentions::text[], mentions_all, system, idempotency_key, request_digest, import_key
    FROM unnest(
        $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::bigint[],
        $15::boolean[], $16::bigint[], $17::bigint[], $18::text[], $19::boolean[], $39::boolean[],
        $20::text[], $21::bytea[], $41::text[]
    ) AS message (
        id, timestamp, sender, recipient, chat_number, conversation_id, number, created, edited, text,
        files, attributes, reply_to, deleted, sent, recipient_newest, mentions, mentions_all, system,
        idempotency_key, request_digest, import_key
    )
),
updated AS (
    INSERT INTO updates (
        application_id, user_id, timestamp, message_id, chat_number, with_user, mention, reactions_to
    )
    SELECT $1, updated.*
    FROM unnest(
        $22::text[], $23::bigint[], $24::bigint[], $25::bigint[], $26::text[], $27::boolean[],
        $40::bigint[]
    ) AS updated
)
INSERT INTO changes (
    application_id, created, timestamp, kind, message_id, conversation_id, actor, files, chat_number,
    with_user, number, members
)
SELECT $1, $28, timestamp, kind::change_kind, message_id, conversation_id, actor, files::text[],
       chat_number, with_user, number, members::text[]
FROM unnest(
    $29::bigint[], $30::text[], $31::bigint[], $32::bigint[], $33::text[], $34::text[], $35::bigint[],
    $36::text[], $37::bigint[], $38::text[]
) AS change (
    timestamp, kind, message_id, conversation_id, actor, files, chat_number, with_user, number, members
)
