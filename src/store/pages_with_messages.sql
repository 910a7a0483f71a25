-- A page of the timeline for each of many callers of one application, with the messages' present data: see pages.rs.
SELECT request.ordinal        AS "ordinal!",
       newest.timestamp       AS "latest?",
       coalesce(timeline.timestamp, 0) AS "timeline_end!",
       page.update_timestamp  AS "update_timestamp?",
       page.message_id        AS "message_id?",
       page.chat              AS "chat?",
       page.with_user         AS "with_user?",
       page.mention           AS "mention?",
       page.message           AS "message?: MessageRow"
FROM (VALUES (1)) AS once
LEFT JOIN LATERAL (
    SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1
) AS timeline ON TRUE
CROSS JOIN unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
    WITH ORDINALITY AS request (user_id, after, entries_max, bytes_max, ordinal)
LEFT JOIN LATERAL (
    SELECT u.timestamp
    FROM updates AS u
    WHERE u.application_id = $1 AND u.user_id = request.user_id
    ORDER BY u.timestamp DESC
    LIMIT 1
) AS newest ON TRUE
LEFT JOIN LATERAL (
    SELECT sized.*
    FROM (
        SELECT listed.timestamp AS update_timestamp,
               listed.message_id,
               listed.chat_number AS chat,
               listed.with_user,
               listed.mention,
               m.message,
               coalesce(sum(
                   coalesce(octet_length(to_json((m.message).text)::text), 0)
                   + coalesce(octet_length((m.message).attributes::text), 0)
                   + coalesce(octet_length(array_to_string((m.message).files, '","')), 0)
                   + coalesce(octet_length(array_to_string((m.message).mentions, '","')), 0)
                   + $6::integer
               ) OVER (
                   ORDER BY listed.timestamp ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
               ), 0) AS bytes_before
        FROM (
            SELECT entry.timestamp,
                   entry.message_id,
                   entry.chat_number,
                   entry.with_user,
                   entry.mention,
                   row_number() OVER (
                       PARTITION BY entry.message_id ORDER BY entry.timestamp
                   ) = 1 AS is_first
            FROM (
                SELECT u.timestamp, u.message_id, u.chat_number, u.with_user, u.mention
                FROM updates AS u
                WHERE u.application_id = $1 AND u.user_id = request.user_id
                  AND u.timestamp > request.after
                  AND newest.timestamp > request.after
                ORDER BY u.timestamp
                LIMIT request.entries_max
            ) AS entry
        ) AS listed
        -- The limit makes this a lookup by key for each entry, whatever the planner assumes about a table
        -- that was never analyzed.
        LEFT JOIN LATERAL (
            SELECT found AS message
            FROM messages AS found
            WHERE listed.is_first
              AND found.application_id = $1 AND found.id = listed.message_id
              -- A user who has left a chat reads none of its messages any more. (This is a value and not
              -- EXISTS, which the planner may turn into a hash of all members.)
              AND (found.chat_number IS NULL OR (
                  SELECT TRUE
                  FROM chat_members AS c
                  WHERE c.application_id = $1
                    AND c.chat_number = found.chat_number
                    AND c.user_id = request.user_id AND c.departed IS NULL
                  LIMIT 1
              ))
            LIMIT 1
        ) AS m ON TRUE
    ) AS sized
    WHERE sized.bytes_before < request.bytes_max
) AS page ON TRUE
ORDER BY request.ordinal, page.update_timestamp
