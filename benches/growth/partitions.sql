-- The log and the timelines of users once more, partitioned by timestamp into 24 parts and a last one for what is
-- written from now on; and once more as they are, so that both are as old.
SELECT max(timestamp) AS last, max(timestamp) / 24 + 1 AS width FROM changes \gset
CREATE SCHEMA whole;
CREATE SCHEMA parted;
CREATE TABLE whole.changes (LIKE public.changes INCLUDING ALL);
CREATE TABLE whole.updates (LIKE public.updates INCLUDING ALL);
CREATE TABLE parted.changes (LIKE public.changes INCLUDING ALL) PARTITION BY RANGE (timestamp);
CREATE TABLE parted.updates (LIKE public.updates INCLUDING ALL) PARTITION BY RANGE (timestamp);
SELECT format('CREATE TABLE parted.%1$s_%2$s PARTITION OF parted.%1$s FOR VALUES FROM (%3$s) TO (%4$s)',
              name, part, part * :width, CASE part WHEN 24 THEN 'MAXVALUE' ELSE ((part + 1) * :width)::text END)
FROM generate_series(0, 24) AS part, unnest(ARRAY['changes', 'updates']) AS name \gexec
INSERT INTO whole.changes SELECT * FROM public.changes;
INSERT INTO whole.updates SELECT * FROM public.updates;
INSERT INTO parted.changes SELECT * FROM public.changes;
INSERT INTO parted.updates SELECT * FROM public.updates;
VACUUM ANALYZE;
