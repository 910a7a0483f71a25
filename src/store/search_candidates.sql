-- Messages that may match: entries that are looked up ($2) and match ($3), and pending changes. Both are
-- within a range of ids ($4, $5) and within what the caller may read. Returns the newest $9 messages, and
-- the ids of the next $10.
WITH looked_up AS MATERIALIZED (
    SELECT message_id, terms @@ ($3::text)::tsquery AS matches
    FROM search_entries
    WHERE terms @@ ($2::text)::tsquery AND message_id >= $4 AND message_id < $5
),
candidates AS MATERIALIZED (
    SELECT message_id FROM looked_up WHERE matches
    UNION
    SELECT message_id
    FROM search_pending
    WHERE application_id = $1 AND message_id >= $4 AND message_id < $5
      AND CASE
          WHEN chat_number IS NOT NULL THEN chat_number = ANY($6::bigint[])
          ELSE sender = $7 AND recipient = coalesce($8, recipient)
            OR recipient = $7 AND sender = coalesce($8, sender)
      END
)
SELECT (SELECT count(*) FROM looked_up) AS "looked_up!",
       ARRAY(
           SELECT message_id FROM candidates ORDER BY message_id DESC OFFSET $9 LIMIT $10
       ) AS "rest!",
       found.message AS "message?: MessageRow"
FROM (VALUES (1)) AS once
LEFT JOIN LATERAL (
    SELECT m.message
    FROM (SELECT message_id FROM candidates ORDER BY message_id DESC) AS candidate
    CROSS JOIN LATERAL (
        -- The limit keeps this a lookup by key.
        SELECT message FROM messages AS message
        WHERE application_id = $1 AND id = candidate.message_id
        LIMIT 1
    ) AS m
    ORDER BY candidate.message_id DESC
    LIMIT $9
) AS found ON TRUE
