-- A page of the feed for each of many requests of one application: see feed.rs.
SELECT request.ordinal   AS "ordinal!",
       coalesce(timeline.timestamp, 0) AS "timeline_end!",
       coalesce(kept.trimmed, 0) AS "trimmed!",
       looked_at.timestamp AS "looked_at?",
       entry.timestamp   AS "timestamp?",
       entry.kind        AS "kind?: KindColumn",
       entry.message_id  AS "message_id?",
       entry.conversation_id AS "conversation_id?",
       entry.chat_number AS "chat_number?",
       entry.with_user   AS "with_user?: UserColumn",
       entry.number      AS "number?",
       entry.members     AS "members?",
       entry.actor       AS "actor?: UserColumn",
       entry.created     AS "created?"
FROM (VALUES (1)) AS once
LEFT JOIN LATERAL (
    SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1
) AS timeline ON TRUE
LEFT JOIN LATERAL (SELECT trimmed FROM applications WHERE id = $1 LIMIT 1) AS kept ON TRUE
CROSS JOIN (
    SELECT ordinal, after, entries_max, changes_max, kinds::change_kind[] AS kinds
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
        WITH ORDINALITY AS request (after, entries_max, changes_max, kinds, ordinal)
    OFFSET 0
) AS request
-- The last change that is looked at; none where fewer are left.
LEFT JOIN LATERAL (
    SELECT c.timestamp
    FROM changes AS c
    WHERE c.application_id = $1 AND c.timestamp > request.after
    ORDER BY c.timestamp
    OFFSET request.changes_max - 1
    LIMIT 1
) AS looked_at ON TRUE
LEFT JOIN LATERAL (
    SELECT c.*
    FROM (
        SELECT * FROM changes
        WHERE application_id = $1 AND timestamp > request.after
        ORDER BY timestamp
        LIMIT request.changes_max
    ) AS c
    WHERE c.kind = ANY (request.kinds)
       -- What the feed does not tell of is next to each other in the order of the kinds.
       OR (request.kinds IS NULL AND NOT c.kind BETWEEN 'settings-changed' AND 'raised')
    ORDER BY c.timestamp
    LIMIT request.entries_max
) AS entry ON TRUE
