CREATE INDEX CONCURRENTLY IF NOT EXISTS course_title_idx ON app.course (org_id, title);
