ALTER TABLE app.course RENAME COLUMN title TO name;
CREATE OR REPLACE VIEW app.course_names WITH (security_invoker = true) AS SELECT org_id, id, name FROM app.course;
