-- The timeline: one sequence for all changes of the service. MAXVALUE is 2^53 - 1, so that every
-- value is exact in JavaScript; CACHE 1, because a cached block would be handed out of order.
CREATE SEQUENCE timeline AS bigint MINVALUE 1 MAXVALUE 9007199254740991 CACHE 1;
CREATE SEQUENCE message_ids AS bigint MINVALUE 1 MAXVALUE 9007199254740991 CACHE 1;

CREATE TABLE applications (
    id      bigint      PRIMARY KEY,
    name    text        NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

INSERT INTO applications (id, name) VALUES (1, 'default');

-- Which batch each writing process committed last: how a COMMIT whose answer was lost is resolved.
CREATE TABLE writers (
    writer    uuid        PRIMARY KEY,
    batch     bigint      NOT NULL,
    committed timestamptz NOT NULL
);
