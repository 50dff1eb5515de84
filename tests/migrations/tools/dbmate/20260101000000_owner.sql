-- migrate:up
ALTER TABLE app.course ADD COLUMN owner_note text;

-- migrate:down
ALTER TABLE app.course DROP COLUMN owner_note;
