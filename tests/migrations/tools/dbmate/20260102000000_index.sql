-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY course_note ON app.course (org_id, owner_note);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY app.course_note;
