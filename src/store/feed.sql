-- A page of the feed for each of many requests of one application: see feed.rs.
WITH request AS (
    SELECT parameters.ordinal, parameters.after, parameters.entries_max, parameters.kinds::change_kind[] AS kinds,
           looked_at.timestamp AS looked_at
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
        WITH ORDINALITY AS parameters (after, entries_max, changes_max, kinds, ordinal)
    -- The last change that a page of a few kinds looks at; none where fewer are left.
    LEFT JOIN LATERAL (
        SELECT c.timestamp
        FROM changes AS c
        WHERE parameters.kinds IS NOT NULL
          AND c.application_id = $1 AND c.timestamp > parameters.after
        ORDER BY c.timestamp
        OFFSET parameters.changes_max - 1
        LIMIT 1
    ) AS looked_at ON TRUE
)
-- The entries of a request are in order, and nothing sorts them again: the builder of the page checks that. What
-- holds for a page is a row of its own, since a column that every row repeats costs as much as one of the entries'.
SELECT request.ordinal   AS "ordinal!",
       coalesce((SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1), 0)
                         AS "timeline_end?",
       coalesce((SELECT trimmed FROM applications WHERE id = $1 LIMIT 1), 0)
                         AS "trimmed?",
       request.looked_at AS "looked_at?",
       NULL::bigint      AS "timestamp?",
       NULL::change_kind AS "kind?: KindColumn",
       NULL::bigint      AS "message_id?",
       NULL::bigint      AS "conversation_id?",
       NULL::bigint      AS "chat_number?",
       NULL::text        AS "with_user?: UserColumn",
       NULL::bigint      AS "number?",
       NULL::text[]      AS "members?",
       NULL::text        AS "actor?: UserColumn",
       NULL::timestamptz AS "created?"
FROM request
UNION ALL
SELECT request.ordinal, NULL, NULL, NULL, entry.timestamp, entry.kind, entry.message_id, entry.conversation_id,
       entry.chat_number, entry.with_user, entry.number, entry.members, entry.actor, entry.created
FROM request
CROSS JOIN LATERAL (
    SELECT c.*
    FROM changes AS c
    WHERE c.application_id = $1 AND c.timestamp > request.after
      AND c.timestamp <= coalesce(request.looked_at, 9223372036854775807)
      AND (request.kinds IS NULL OR c.kind = ANY (request.kinds))
    ORDER BY c.timestamp
    LIMIT request.entries_max
) AS entry
