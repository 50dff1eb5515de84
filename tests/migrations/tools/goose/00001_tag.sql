-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.title := trim(NEW.title);
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER course_touch BEFORE UPDATE ON app.course FOR EACH ROW EXECUTE FUNCTION app.touch();

-- +goose Down
DROP TRIGGER course_touch ON app.course;
DROP FUNCTION app.touch();
