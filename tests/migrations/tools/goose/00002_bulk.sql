-- +goose Up
ALTER TABLE app.course DISABLE TRIGGER ALL;
UPDATE app.course SET title = title;
ALTER TABLE app.course ENABLE TRIGGER ALL;

-- +goose Down
SELECT 1;
