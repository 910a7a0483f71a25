-- A page of the timeline for each of many callers of one application: see pages.rs.
SELECT request.ordinal      AS "ordinal!",
       newest.timestamp     AS "latest?",
       coalesce(timeline.timestamp, 0) AS "timeline_end!",
       coalesce(kept.trimmed, 0) AS "trimmed!",
       coalesce(kept.expired, 0) AS "expired!",
       page.timestamps      AS "timestamps?",
       page.messages        AS "messages?: Vec<Option<i64>>",
       page.chats           AS "chats?: Vec<Option<i64>>",
       page.withs           AS "withs?: Vec<Option<String>>",
       page.mentions        AS "mentions?: Vec<Option<bool>>",
       page.reactions       AS "reactions?: Vec<Option<i64>>"
FROM (VALUES (1)) AS once
LEFT JOIN LATERAL (
    SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1
) AS timeline ON TRUE
LEFT JOIN LATERAL (SELECT trimmed, expired FROM applications WHERE id = $1 LIMIT 1) AS kept ON TRUE
CROSS JOIN unnest($2::text[], $3::bigint[], $4::bigint[])
    WITH ORDINALITY AS request (user_id, after, entries_max, ordinal)
LEFT JOIN LATERAL (
    SELECT u.timestamp
    FROM updates AS u
    WHERE u.application_id = $1 AND u.user_id = request.user_id
    ORDER BY u.timestamp DESC
    LIMIT 1
) AS newest ON TRUE
LEFT JOIN LATERAL (
    -- One row with all entries costs far less than a row for each.
    SELECT array_agg(entry.timestamp) AS timestamps, array_agg(entry.message_id) AS messages,
           array_agg(entry.chat_number) AS chats, array_agg(entry.with_user) AS withs,
           array_agg(entry.mention) AS mentions, array_agg(entry.reactions_to) AS reactions
    FROM (
        SELECT u.timestamp, u.message_id, u.chat_number, u.with_user, u.mention, u.reactions_to
        FROM updates AS u
        WHERE u.application_id = $1 AND u.user_id = request.user_id
          AND u.timestamp > request.after
          AND newest.timestamp > request.after
        ORDER BY u.timestamp
        LIMIT request.entries_max
    ) AS entry
) AS page ON TRUE
