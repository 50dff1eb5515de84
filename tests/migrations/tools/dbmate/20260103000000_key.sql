-- migrate:up
ALTER TABLE app.enrolment ALTER COLUMN org_id DROP NOT NULL;

-- migrate:down
ALTER TABLE app.enrolment ALTER COLUMN org_id SET NOT NULL;
