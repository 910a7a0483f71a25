-- 64 users ask at once whether there is something new: nothing is.
SELECT lookup.user_id, found.timestamp
FROM unnest(ARRAY(SELECT 'user-' || number FROM generate_series(1, 64) AS number)) AS lookup (user_id)
CROSS JOIN LATERAL (
    SELECT timestamp FROM updates
    WHERE application_id = 1 AND user_id = lookup.user_id AND timestamp > :end + 0 * :client_id
    ORDER BY timestamp LIMIT 50
) AS found;
