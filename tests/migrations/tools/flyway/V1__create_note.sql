CREATE TABLE app.note (
    org_id bigint NOT NULL,
    id     bigint GENERATED ALWAYS AS IDENTITY,
    body   text,
    PRIMARY KEY (org_id, id)
);
